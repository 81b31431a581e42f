"""How what is known is to be shown."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.model import FailureReason, Provider, State, Task
from exporter.tracking.knowledge import Snapshot
from exporter.tracking.tally import DEFAULT_BUCKETS, Buckets


@dataclass(frozen=True, slots=True)
class View:
    """How what is known is to be shown.

    Attributes:
        per_task: Whether each task has series of its own.
        max_task_series: How many tasks have, the active and the newest first.
        label: What people may see of a task's id, by provider.
        stall_after: Seconds without a change after which an active task is stalled, by state.
        buckets: Of the histograms.
    """

    per_task: bool = True
    max_task_series: int = 20_000
    label: Callable[[Provider, str], str] = lambda _, task: task
    stall_after: Mapping[State, float] = field(default_factory=dict)
    buckets: Buckets = DEFAULT_BUCKETS


@dataclass(frozen=True, slots=True)
class Sight:
    """From where the tasks of one snapshot are looked at.

    Attributes:
        at: When the snapshot was taken (steady seconds).
        to_date: What to add to a steady time to make it a date.
        stall_after: Seconds without a change after which an active task is stalled, by state.
    """

    at: float
    to_date: float
    stall_after: Mapping[State, float]

    def stalled(self, task: Task) -> bool:
        """Whether a task is active and has not changed for as long as its state allows."""
        return self.at >= self.stalls_at(task)

    def stalls_at(self, task: Task) -> float:
        """Return from when on a task is stalled if nothing changes (steady seconds); infinite if never.

        One that waits for its file never is: nobody is late but the person who may have left.
        """
        if task.ended is not None or task.seen.awaits_file:
            return math.inf
        return task.changed + self.stall_after.get(task.seen.state, math.inf)


@dataclass(frozen=True, slots=True)
class Picture:
    """All that one scrape shows.

    Attributes:
        snapshots: One of each account.
        view: How to show them.
        to_date: What to add to a steady time to make it a date.
    """

    snapshots: tuple[Snapshot, ...]
    view: View = View()
    to_date: float = 0.0

    def shows_the_same(self, other: "Picture") -> bool:
        """Whether two pictures are of the same, but for the time: told by identity, not by a look at all."""
        return (self.view, self.to_date, len(self.snapshots)) == (
            other.view,
            other.to_date,
            len(other.snapshots),
        ) and all(
            ours.account == theirs.account
            and ours.tasks is theirs.tasks
            and ours.counts is theirs.counts
            and ours.exemplars is theirs.exemplars
            for ours, theirs in zip(self.snapshots, other.snapshots, strict=True)
        )

    @property
    def at(self) -> float:
        """When the last of the snapshots was taken (steady seconds)."""
        return max((snapshot.at for snapshot in self.snapshots), default=-math.inf)

    def sight(self, snapshot: Snapshot) -> Sight:
        """Return from where the tasks of a snapshot are looked at."""
        return Sight(snapshot.at, self.to_date, self.view.stall_after)


def failure(task: Task) -> FailureReason | None:
    """Return why a task has failed; None if it has not, or had before anybody watched."""
    if task.history or task.seen.state is not State.FAILED:
        return None
    return task.seen.reason or FailureReason.UNKNOWN
