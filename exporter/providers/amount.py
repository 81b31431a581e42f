"""Reading an amount that a provider tells, whatever it looks like."""

from typing import Final

MAX_AMOUNT: Final = 1e15
"""Beyond this no amount is true, and sums would not stay exact."""


_READABLE: Final = (int, float, str)


def amount(value: object) -> float:
    """Return a number that may come as text; 0 if it is none, is negative or can't be true.

    >>> amount("0.371511"), amount("soon"), amount(-1)
    (0.371511, 0.0, 0.0)
    """
    try:
        number = float(value) if isinstance(value, _READABLE) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return number if 0 <= number <= MAX_AMOUNT else 0.0
