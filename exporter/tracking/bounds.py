"""The bounds of stored histograms: buckets can't be divided anew, should the configuration want others."""

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from exporter.tracking.tally import Buckets, Count, Tally, bound_label

_log = structlog.get_logger()

_BOUNDS: Final[Mapping[Tally, Callable[[Buckets], tuple[float, ...]]]] = {
    Tally.DURATION: lambda buckets: buckets.duration,
    Tally.PHASE_DURATION: lambda buckets: buckets.phase_duration,
}


_BOUNDS_ROW: Final = "bounds"
"""Stands where the labels of a histogram would, in the row that says which bounds its buckets have."""


def bounds_rows(buckets: Buckets) -> dict[Count, float]:
    """Return the rows that say which bounds the histograms have."""
    return {
        Count(tally, (_BOUNDS_ROW, " ".join(map(bound_label, bounds(buckets))))): 0.0
        for tally, bounds in _BOUNDS.items()
    }


def fitting(
    counts: Mapping[Count, float], buckets: Buckets
) -> tuple[Mapping[Count, float], Mapping[Count, float | None]]:
    """Leave out histograms whose bounds were others: their buckets can't be divided anew.

    Returns:
        The counters that fit, and what is to be written so that the others are gone for good.
    """
    rows = {count for count in counts if count.tally in _BOUNDS and count.labels[0] == _BOUNDS_ROW}
    unfit = {count.tally for count in bounds_rows(buckets) if count not in rows}
    gone = [count for count in counts if count.tally in unfit]
    for tally in sorted({count.tally for count in gone}):
        _log.warning("histogram begins anew, its buckets were changed", histogram=tally)
    fit = {
        count: number for count, number in counts.items() if count.tally not in unfit and count not in rows
    }
    return fit, {**dict.fromkeys(gone), **(bounds_rows(buckets) if unfit else {})}
