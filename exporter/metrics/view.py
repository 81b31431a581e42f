"""How what is known is to be shown."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.model import FailureReason, Provider, State, Task
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
        """Whether a task is active and has not changed for as long as its state allows.

        One that waits for its file is not: nobody is late but the person who may have left.
        """
        if task.ended is not None or task.seen.awaits_file:
            return False
        return self.at - task.changed >= self.stall_after.get(task.seen.state, math.inf)


def failure(task: Task) -> FailureReason | None:
    """Return why a task has failed; None if it has not, or had before anybody watched."""
    if task.history or task.seen.state is not State.FAILED:
        return None
    return task.seen.reason or FailureReason.UNKNOWN
