"""How what is known is to be shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.model import Provider, State
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
