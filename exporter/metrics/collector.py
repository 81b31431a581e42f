"""An ordinary prometheus_client Collector over what is known about the tasks."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from exporter.metrics import families
from exporter.metrics.families import PER_TASK, Family, Kind
from exporter.model import PHASES, TASK_TYPES, FailureReason, Provider, State, Task
from exporter.tracking.knowledge import Snapshot
from exporter.tracking.tally import Tally

_TALLIES: Final = {
    Tally.PHASE_ENTRIES: families.PHASE_ENTRIES,
    Tally.RETRIES: families.RETRIES,
    Tally.FAILURES: families.FAILURES,
    Tally.WARNINGS: families.WARNINGS,
}

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """How the tasks are shown.

    Attributes:
        per_task: Whether each task has series of its own.
        max_task_series: How many tasks have, the active and the newest first.
        label: What people may see of a task's id, by provider.
    """

    per_task: bool = True
    max_task_series: int = 20_000
    label: Callable[[Provider, str], str] = lambda _, task: task


class TaskCollector(Collector):
    """Shows the snapshots of all accounts, taken anew at each scrape.

    Register it in any registry; `snapshots` is called once a scrape.
    """

    def __init__(self, snapshots: Callable[[], Iterable[Snapshot]], view: View) -> None:
        self._snapshots = snapshots
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Yield every family of the fleet, and those of the single tasks if they are wanted."""
        snapshots = tuple(self._snapshots())
        yield from _fleet(snapshots)
        chosen = choose(snapshots, self._view.max_task_series) if self._view.per_task else ()
        if self._view.per_task:
            yield from self._tasks(chosen)
        shown = sum(task.ended is None for _, task in chosen)
        active = sum(task.ended is None for snapshot in snapshots for task in snapshot.tasks)
        dropped = active - shown if self._view.per_task else 0
        yield _metric(families.SERIES_DROPPED, [((), dropped)])

    def _tasks(self, chosen: Sequence[tuple[Snapshot, Task]]) -> Iterator[Metric]:
        labelled = [
            (
                (
                    *snapshot.account,
                    self._view.label(snapshot.account.provider, task.id),
                    task.seen.task_type,
                ),
                task,
            )
            for snapshot, task in chosen
        ]
        for entry in PER_TASK:
            yield _metric(
                entry.family,
                (
                    ((*labels, *entry.labels(task)), value)
                    for labels, task in labelled
                    if (value := entry.value(task)) is not None
                ),
            )


def choose(snapshots: Iterable[Snapshot], most: int) -> Sequence[tuple[Snapshot, Task]]:
    """Return the tasks that have series of their own: all, or the active and the newest ones."""
    tasks = [(snapshot, task) for snapshot in snapshots for task in snapshot.tasks]
    if len(tasks) <= most:
        return tasks
    return heapq.nlargest(most, tasks, key=lambda pair: (pair[1].ended is None, pair[1].changed))


def _fleet(snapshots: Sequence[Snapshot]) -> Iterator[Metric]:
    tasks: Counter[Labels] = Counter()
    oldest: dict[Labels, float] = {}
    tallies: defaultdict[Tally, Counter[Labels]] = defaultdict(Counter)
    for snapshot in snapshots:
        account = snapshot.account
        for tally, labels in zeros(account.provider):
            tallies[tally][*account, *labels] = 0
        for count, number in snapshot.counts.items():
            tallies[count.tally][*account, *count.labels] += number
        for task in snapshot.tasks:
            seen = task.seen
            tasks[*account, seen.task_type, seen.phase, seen.state] += 1
            if task.ended is None and seen.created is not None:
                key = (*account, seen.task_type)
                oldest[key] = min(seen.created, oldest.get(key, seen.created))
    for labels in tallies[Tally.PHASE_ENTRIES]:
        tasks.setdefault(labels, 0)
    yield _metric(families.TASKS, tasks.items())
    for tally, family in _TALLIES.items():
        yield _metric(family, tallies[tally].items())
    yield _metric(families.OLDEST_ACTIVE, oldest.items())


def zeros(provider: Provider) -> Iterator[tuple[Tally, Labels]]:
    """Yield every counter known beforehand: it exists at 0, so that its first event is an increase."""
    for task_type in TASK_TYPES[provider]:
        for phase, state in PHASES[provider].items():
            yield Tally.PHASE_ENTRIES, (task_type, phase, state)
            if provider is Provider.QENCODE and not state.terminal:
                # A job can fail in any phase: `status: encoding, error: 1`.
                yield Tally.PHASE_ENTRIES, (task_type, phase, State.FAILED)
        for reason in FailureReason:
            yield Tally.FAILURES, (task_type, reason)
        yield Tally.RETRIES, (task_type,)
        yield Tally.WARNINGS, (task_type,)


def _metric(family: Family, samples: Iterable[tuple[Labels, float]]) -> Metric:
    name = family.name.removesuffix("_total") if family.kind is Kind.COUNTER else family.name
    metric = Metric(name, family.help, family.kind)
    for labels, value in samples:
        metric.add_sample(family.name, dict(zip(family.labels, labels, strict=True)), value)
    return metric
