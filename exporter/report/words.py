"""Numbers in the words that people read them in. Pure functions."""

from itertools import pairwise
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_EXACT: Final = 10


def span(seconds: float) -> str:
    """Return a length of time as one says it: below ten of a unit with a second one; never negative.

    >>> span(0.4), span(59.9), span(61), span(660), span(3_600), span(93_780)
    ('0 s', '59 s', '1 min 1 s', '11 min', '1 h', '1 d 2 h')
    """
    left = int(max(0.0, seconds))
    for (size, unit), (smaller, small_unit) in pairwise(_UNITS):
        if left >= size:
            whole, rest = divmod(left, size)
            parts = rest // smaller if whole < _EXACT else 0
            return f"{whole} {unit} {parts} {small_unit}" if parts else f"{whole} {unit}"
    return f"{left} s"


def part(shard: int, total_shards: int) -> str:
    """Return which of the exporters that share the tasks one is; empty if it is alone.

    >>> part(1, 3), part(0, 1)
    ('shard 1 of 3 (counted from 0)', '')
    """
    return f"shard {shard} of {total_shards} (counted from 0)" if total_shards > 1 else ""


def own_tasks_only(which: str, others: str = "ask the others at their own URLs") -> str:
    """Return what has to be said of a `part`, lest it be taken for the whole; empty if it is that.

    Args:
        which: The part.
        others: How one learns of the other parts.

    >>> own_tasks_only("shard 1 of 3 (counted from 0)"), own_tasks_only("")
    ('shard 1 of 3 (counted from 0) shows only its own tasks; ask the others at their own URLs', '')
    """
    return f"{which} shows only its own tasks; {others}" if which else ""


def whole_percent(ratio: float) -> int:
    """Return a ratio as whole per cent; only what is whole is 100.

    >>> whole_percent(0.0), whole_percent(0.29), whole_percent(0.999), whole_percent(1.0)
    (0, 29, 99, 100)
    """
    # The tenth place: 0.29 * 100 is 28.999999999999996.
    return int(round(ratio * 100, 9))


def percent(ratio: float) -> str:
    """Return a ratio as a percentage.

    >>> percent(0.425)
    '42 %'
    """
    return f"{whole_percent(ratio)} %"
