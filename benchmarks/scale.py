"""How much is measured: everything, or as much as fits in a minute."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes of a run.

    Attributes:
        rounds: Pairs of each comparison.
        starts: Pairs of those that start processes.
        series: Of part a.
        tracked: Numbers of tracked tasks, each ten times the one before.
        active: Numbers of active tasks, to see what one exporter carries.
        crowd: Seconds that the clients of part f scrape.
        each_provider: Whether the providers are measured one by one as well.
    """

    rounds: int
    starts: int
    series: int
    tracked: tuple[int, ...]
    active: tuple[int, ...]
    crowd: float
    each_provider: bool


FULL: Final = Scale(
    rounds=7,
    starts=5,
    series=100_000,
    tracked=(1_000, 10_000, 100_000),
    active=(1_000, 5_000, 10_000, 20_000),
    crowd=20.0,
    each_provider=True,
)
SMOKE: Final = Scale(
    rounds=3, starts=2, series=20_000, tracked=(1_000, 10_000), active=(), crowd=4.0, each_provider=False
)
