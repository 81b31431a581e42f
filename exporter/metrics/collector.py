"""An ordinary prometheus_client Collector over what is known about the tasks."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from exporter.metrics import families
from exporter.metrics.families import PER_TASK
from exporter.metrics.fleet import fleet, metric
from exporter.metrics.view import Sight, View
from exporter.model import Task
from exporter.tracking.knowledge import Snapshot

MAX_CUSTOM_LABELS: Final = 64
"""Names of custom labels, over all tokens: the most frequent ones."""


class TaskCollector(Collector):
    """Shows the snapshots of all accounts, taken anew at each scrape. Register it in any registry.

    Args:
        snapshots: Called once a scrape.
        view: How to show them; called once a scrape.
        to_date: Returns what to add to a steady time to make it a date.
    """

    def __init__(
        self,
        snapshots: Callable[[], Iterable[Snapshot]],
        view: Callable[[], View] = View,
        to_date: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._snapshots = snapshots
        self._view = view
        self._to_date = to_date

    def collect(self) -> Iterator[Metric]:
        """Yield every family of the fleet, and those of the single tasks if they are wanted."""
        snapshots, view, to_date = tuple(self._snapshots()), self._view(), self._to_date()
        yield from fleet(snapshots, view, to_date)
        chosen = choose(snapshots, view.max_task_series) if view.per_task else ()
        if view.per_task:
            yield from _single_tasks(chosen, view, to_date)
        shown = sum(task.ended is None for _, task in chosen)
        active = sum(task.ended is None for snapshot in snapshots for task in snapshot.tasks)
        yield metric(families.SERIES_DROPPED, [((), active - shown if view.per_task else 0)])


def choose(snapshots: Iterable[Snapshot], most: int) -> Sequence[tuple[Snapshot, Task]]:
    """Return the tasks that have series of their own: all, or the active and the newest ones."""
    tasks = [(snapshot, task) for snapshot in snapshots for task in snapshot.tasks]
    if len(tasks) <= most:
        return tasks
    return heapq.nlargest(most, tasks, key=lambda pair: (pair[1].ended is None, pair[1].changed))


def _single_tasks(chosen: Sequence[tuple[Snapshot, Task]], view: View, to_date: float) -> Iterator[Metric]:
    labelled = []
    for snapshot, task in chosen:
        provider, account = snapshot.account
        labels = (provider, account, view.label(provider, task.id), task.seen.task_type)
        labelled.append((labels, task, Sight(snapshot.at, to_date, view.stall_after)))
    for entry in PER_TASK:
        yield metric(
            entry.family,
            (
                ((*labels, *entry.labels(task)), value)
                for labels, task, sight in labelled
                if (value := entry.value(task, sight)) is not None
            ),
        )
    yield _info(labelled)


def _renamed(custom: Sequence[str], ours: Sequence[str]) -> Sequence[str]:
    """Return the custom names so that none is taken: Prometheus' own way with a clash is `exported_`."""
    taken = {*ours, *custom, "le", "quantile"}
    names = []
    for name in custom:
        shown = name
        while (shown != name or name in (*ours, "le", "quantile")) and shown in taken:
            shown = f"exported_{shown}"
        taken.add(shown)
        names.append(shown)
    return names


def _info(labelled: Sequence[tuple[tuple[str, ...], Task, Sight]]) -> Metric:
    """Return the info of each task, with the custom labels of all of them on each: one stable set."""
    family = families.TASK_INFO
    used = Counter(name for _, task, _ in labelled for name, _ in task.seen.labels)
    # Each task has all of them: names without bound would multiply with the tasks.
    custom = sorted(sorted(used, key=lambda name: (-used[name], name))[:MAX_CUSTOM_LABELS])
    names = (*family.labels, *_renamed(custom, family.labels))
    made = Metric(family.name, family.help, family.kind)
    for labels, task, _ in labelled:
        seen = task.seen
        given = dict(seen.labels)
        values = (*labels, seen.project, seen.input_asset, seen.output_asset)
        values += tuple(given.get(name, "") for name in custom)
        made.add_sample(family.name, dict(zip(names, values, strict=True)), 1)
    return made
