"""What is measured, and what it is held against."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TOLERANCE: Final = 2.0
"""By how much a smoke run may miss a bar: the machine is shared, and the sizes are small."""


class NotComparedError(Exception):
    """Raised by a part, before or after its figures, for what is not among them; the message says why."""


class Unit(StrEnum):
    """What a figure is in."""

    SECONDS = "s"
    BYTES = "B"
    NUMBER = ""


class Sense(StrEnum):
    """On which side of a bar one should be."""

    AT_LEAST = "at least"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Bar:
    """What is promised.

    Attributes:
        sense: On which side of the limit a value has to be.
        limit: Of the ratio where there is one, else of the figure itself, in its unit; None promises nothing.
    """

    sense: Sense
    limit: float | None

    def met(self, value: float, tolerance: float = 1.0) -> bool:
        """Whether a value is on the right side; with a tolerance of 2, of half the bar."""
        if self.limit is None:
            return True
        if self.sense is Sense.AT_LEAST:
            return value >= self.limit / tolerance
        return value < self.limit * tolerance


def at_least(limit: float | None = None) -> Bar:
    """Promise that the others need so many times what we do."""
    return Bar(Sense.AT_LEAST, limit)


def below(limit: float | None = None) -> Bar:
    """Promise less than so much; of a ratio, of ours to theirs."""
    return Bar(Sense.BELOW, limit)


_NOTHING: Final = below()


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        part: What it is about, as `make bench` and the command line name it.
        metric: What was measured.
        unit: Of `ours` and `theirs`.
        ours: The median of our side.
        theirs: The median of what it is compared with; None if it stands alone.
        ratio: The median of the ratios of the pairs, the way round that the bar wants it; None without pairs.
        bar: What is promised.
    """

    part: str
    metric: str
    unit: Unit
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    bar: Bar = _NOTHING

    @property
    def judged(self) -> float:
        """What the bar is about."""
        return self.ours if self.ratio is None else self.ratio

    @property
    def portable(self) -> bool:
        """Whether it means the same on any machine; seconds alone do not."""
        return self.ratio is not None or self.unit is not Unit.SECONDS

    def met(self, tolerance: float = 1.0) -> bool:
        """Whether what is promised is kept."""
        return self.bar.met(self.judged, tolerance)


def missed(figures: Iterable[Figure], *, smoke: bool) -> Sequence[Figure]:
    """Return what does not keep its promise: by anything, or in a smoke run by half and on any machine."""
    if smoke:
        return [figure for figure in figures if figure.portable and not figure.met(TOLERANCE)]
    return [figure for figure in figures if not figure.met()]


Pair = tuple[float, float]
"""Ours and theirs, measured one right after the other."""


def pairs(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> Sequence[Pair]:
    """Measure both in turn: what else the machine does then hits both alike."""
    return [(ours(), theirs()) for _ in range(rounds)]


def compared(part: str, metric: str, unit: Unit, measured: Sequence[Pair], bar: Bar) -> Figure:
    """Return the line of a comparison: medians of each side, and the median of the ratios of the pairs."""
    times_better = bar.sense is Sense.AT_LEAST
    ratios = [
        theirs / ours if times_better else ours / theirs for ours, theirs in measured if ours and theirs
    ]
    ours, theirs = (statistics.median(side) for side in zip(*measured, strict=True))
    ratio = statistics.median(ratios) if ratios else float("nan")
    return Figure(part, metric, unit, ours, theirs, ratio, bar)


def alone(part: str, metric: str, unit: Unit, values: Sequence[float], bar: Bar = _NOTHING) -> Figure:
    """Return the line of a figure that is compared with nothing: the median of its values."""
    return Figure(part, metric, unit, statistics.median(values), bar=bar)
