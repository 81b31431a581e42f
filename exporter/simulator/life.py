"""How busy and how troubled the simulated services are, and when their tasks arrive."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from exporter.simulator.dice import dice


@dataclass(frozen=True, slots=True)
class Life:
    """Settings of services that get tasks by themselves; the defaults suit a demo.

    With `failure_ratio` and `stall_ratio` at 0 no task ever fails, is retried, cancelled or stuck.

    Attributes:
        arrivals_per_minute: New tasks per simulated minute, per service (Livepeer: per account).
        shortest, longest: Range of a task's duration in simulated seconds, pauses for retries not counted.
        failure_ratio: Share of tasks that run into an error.
        retry_ratio: Share of those that recover: Livepeer retries them, Qencode restarts them as a new job.
        stall_ratio: Share of tasks that get stuck for ever.
        warning_ratio: Share of Qencode jobs with a warning.
        backlog: Simulated seconds of history that are there from the start.
        memory: Simulated seconds after which a finished task is forgotten, so that memory stays bounded.
            A stuck one is kept ten times as long.
    """

    arrivals_per_minute: float = 3.5
    shortest: float = 60.0
    longest: float = 360.0
    failure_ratio: float = 0.15
    retry_ratio: float = 0.5
    stall_ratio: float = 0.01
    warning_ratio: float = 0.08
    backlog: float = 3600.0
    memory: float = 6 * 3600.0

    def __post_init__(self) -> None:
        if self.arrivals_per_minute <= 0:
            raise ValueError("arrivals_per_minute must be above 0; for no tasks at all use no Life")
        if not 0 < self.shortest <= self.longest:
            raise ValueError("durations must be above 0, shortest not above longest")
        for name in ("failure_ratio", "retry_ratio", "stall_ratio", "warning_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1")

    def duration(self, rng: Random) -> float:
        """Return how long a task takes, in seconds."""
        return rng.uniform(self.shortest, self.longest)


class Fate:
    """What the dice say about one task; drawn before its details, so that these do not shift it."""

    def __init__(self, life: Life, rng: Random) -> None:
        stalls, troubled, recovers, warned = (rng.random() for _ in range(4))
        self.stalls = stalls < life.stall_ratio
        self.fails = not self.stalls and troubled < life.failure_ratio
        self.recovers = self.fails and recovers < life.retry_ratio
        self.warned = warned < life.warning_ratio


class Arrivals:
    """The moments at which tasks arrive: a fixed beat with jitter, the same for the same seed.

    Args:
        life: How busy it is.
        seed: Anything that names this stream of tasks.
        start: Seconds since the epoch at which the simulation starts; the backlog lies before.
    """

    def __init__(self, life: Life, seed: str, start: float) -> None:
        self._seed = seed
        self._beat = 60.0 / life.arrivals_per_minute
        self._origin = start - life.backlog
        self._next = 0

    def until(self, now: float) -> Iterator[tuple[float, Random]]:
        """Yield the arrivals since the last call up to a moment, each with dice of its own."""
        while True:
            rng = dice(self._seed, self._next)
            at = self._origin + (self._next + 0.9 * rng.random()) * self._beat
            if at > now:
                return
            self._next += 1
            yield at, rng


def report_times(rng: Random, start: float, end: float) -> Iterator[tuple[float, float]]:
    """Yield the moments between start and end at which progress is reported, each with the share done."""
    at = start + rng.uniform(1.0, 4.0)
    while at < end:
        yield at, (at - start) / (end - start)
        at += rng.uniform(2.0, 5.0)
