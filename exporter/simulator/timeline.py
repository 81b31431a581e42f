"""What became of a task, as steps in time: the world at a moment is a function of that moment."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Step(Protocol):
    """A state that holds from a moment on, until the next step."""

    @property
    def at(self) -> float:
        """Seconds since the epoch from which the step holds."""


S = TypeVar("S", bound=Step)


@dataclass(frozen=True, slots=True)
class Timeline(Generic[S]):
    """The steps of one task, in order of time; never empty.

    Attributes:
        steps: The states, each with the moment from which it holds.
    """

    steps: tuple[S, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a timeline needs at least one step")
        if any(after.at < before.at for before, after in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("the steps of a timeline must be in order of time")

    @classmethod
    def of(cls, steps: Iterable[S]) -> "Timeline[S]":
        """Make a timeline of steps in order of time."""
        return cls(tuple(steps))

    @property
    def first(self) -> S:
        """The step that began it."""
        return self.steps[0]

    @property
    def last(self) -> S:
        """The step that no other follows."""
        return self.steps[-1]

    def at(self, moment: float) -> S | None:
        """Return the step that holds at a moment (seconds since the epoch); None before the first."""
        if self.steps[-1].at <= moment:
            return self.steps[-1]
        index = bisect_right(self.steps, moment, key=_at)
        return self.steps[index - 1] if index else None

    def until(self, moment: float) -> tuple[S, ...]:
        """Return the steps that have begun by a moment."""
        return self.steps[: bisect_right(self.steps, moment, key=_at)]

    def then(self, step: S) -> "Timeline[S]":
        """Return the timeline in which a step replaces everything planned after its moment."""
        return Timeline((*self.until(step.at), step))


def _at(step: Step) -> float:
    return step.at
