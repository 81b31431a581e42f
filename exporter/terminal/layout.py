"""Which columns fit into a terminal, and how wide each may be. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

GAP: Final = 2
"""Blank columns between two columns."""


class Column(StrEnum):
    """The columns of the table, in their order."""

    SIGN = "sign"
    TASK = "task"
    ACCOUNT = "account"
    TYPE = "type"
    PHASE = "phase"
    AGE = "age"
    UNCHANGED = "unchanged"
    RETRIES = "retries"
    PROGRESS = "progress"


_DROPPED: Final = (Column.RETRIES, Column.TYPE, Column.ACCOUNT, Column.UNCHANGED, Column.PHASE)
"""What a narrow terminal does without, the least missed first."""

_MOST: Final[Mapping[Column, int]] = {
    Column.SIGN: 1,
    Column.TASK: 40,
    Column.ACCOUNT: 24,
    Column.TYPE: 14,
    Column.PHASE: 14,
    Column.AGE: 5,
    Column.UNCHANGED: 9,
    Column.RETRIES: 3,
}

_LEAST: Final[Mapping[Column, int]] = {
    Column.SIGN: 1,
    Column.TASK: 14,
    Column.PROGRESS: 20,
}

_COMFORT: Final = 21
"""Columns that the progress gets before the ids are shown whole."""


def layout(width: int, natural: Mapping[Column, int]) -> dict[Column, int]:
    """Return the columns that fit, with their widths.

    Args:
        width: Of the terminal.
        natural: How wide each column would like to be; the progress takes what is left.
    """
    wish = {column: min(natural.get(column, 0), most) for column, most in _MOST.items()}
    widths = {
        column: min(_LEAST.get(column, wish.get(column, 0)), wish.get(column, width)) for column in Column
    }
    # What nobody has anything to say in is no column.
    widths = {column: size for column, size in widths.items() if size}
    # No id is shortened for the age.
    if _total({column: wish.get(column, _COMFORT) for column in widths}) > width:
        widths.pop(Column.AGE, None)
    for column in _DROPPED:
        if _total(widths) <= width:
            break
        widths.pop(column, None)
    spare = max(0, width - _total(widths))
    for column, size in (
        (Column.PROGRESS, _COMFORT),
        (Column.TASK, wish[Column.TASK]),
        (Column.PROGRESS, width),
    ):
        more = min(spare, max(0, size - widths[column]))
        widths[column] += more
        spare -= more
    return widths


def _total(widths: Mapping[Column, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)
