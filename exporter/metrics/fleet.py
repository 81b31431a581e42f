"""The families of the fleet: bounded, whatever number of tasks there is. Pure functions."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.samples import Exemplar

from exporter.metrics import families
from exporter.metrics.families import Family, Kind
from exporter.metrics.view import Sight, View, failure
from exporter.metrics.zeros import Labels, active_phases, known_counts
from exporter.model import TASK_TYPES, FailureReason
from exporter.tracking.knowledge import Snapshot
from exporter.tracking.tally import SUM, Tally, bound_label

_COUNTERS: Final = {
    Tally.PHASE_ENTRIES: families.PHASE_ENTRIES,
    Tally.RETRIES: families.RETRIES,
    Tally.FAILURES: families.FAILURES,
    Tally.WARNINGS: families.WARNINGS,
    Tally.OUTPUT_SECONDS: families.OUTPUT_SECONDS,
    Tally.OUTPUT_BYTES: families.OUTPUT_BYTES,
}
_HISTOGRAMS: Final = {
    Tally.DURATION: families.DURATION,
    Tally.PHASE_DURATION: families.PHASE_DURATION,
}
_WITH_EXEMPLAR: Final = frozenset({Tally.FAILURES, *_HISTOGRAMS})
_MAX_EXEMPLAR: Final = 128 - len("task")


def fleet(snapshots: Sequence[Snapshot], view: View, to_date: float) -> Iterator[Metric]:
    """Yield every family of the fleet.

    Args:
        snapshots: One of each account.
        view: How to show them.
        to_date: What to add to a steady time to make it a date.
    """
    tallies = _Tallies(snapshots, view, to_date)
    yield metric(families.TASKS, _tasks(snapshots, tallies.labels(Tally.PHASE_ENTRIES)))
    for tally, family in _COUNTERS.items():
        yield tallies.counter(tally, family)
    for tally, family in _HISTOGRAMS.items():
        yield tallies.histogram(tally, family)
    yield metric(families.STALLED, _stalled(snapshots, view))
    yield metric(families.FAILED, _failed(snapshots))
    yield metric(families.OLDEST_ACTIVE, _oldest(snapshots))


def metric(family: Family, samples: Iterable[tuple[Labels, float]]) -> Metric:
    """Return a family with its samples, each by its label values."""
    made = _empty(family)
    for labels, value in samples:
        made.add_sample(family.name, dict(zip(family.labels, labels, strict=True)), value)
    return made


class _Tallies:
    """The counters of all accounts, by tally and by labels, those that are still at 0 included."""

    def __init__(self, snapshots: Iterable[Snapshot], view: View, to_date: float) -> None:
        self._bounds = {
            Tally.DURATION: view.buckets.duration,
            Tally.PHASE_DURATION: view.buckets.phase_duration,
        }
        self._values: defaultdict[Tally, dict[Labels, float]] = defaultdict(dict)
        self._cells: defaultdict[Tally, dict[Labels, dict[str, float]]] = defaultdict(dict)
        self._exemplars: dict[tuple[Tally, Labels], Exemplar] = {}
        for snapshot in snapshots:
            account = snapshot.account
            for tally, labels in known_counts(account.provider):
                if tally in _HISTOGRAMS:
                    self._cells[tally][(*account, *labels)] = {}
                else:
                    self._values[tally][(*account, *labels)] = 0
            for count, number in snapshot.counts.items():
                self._add((*account, *count.labels), count.tally, number)
            for count, (task, value, at) in snapshot.exemplars.items():
                label = view.label(account.provider, task)
                if count.tally in _WITH_EXEMPLAR and len(label) <= _MAX_EXEMPLAR:
                    key = (count.tally, (*account, *count.labels))
                    self._exemplars[key] = Exemplar({"task": label}, value, at + to_date)

    def labels(self, tally: Tally) -> Iterable[Labels]:
        return self._values[tally]

    def counter(self, tally: Tally, family: Family) -> Metric:
        made = _empty(family)
        for labels, value in self._values[tally].items():
            named = dict(zip(family.labels, labels, strict=True))
            made.add_sample(family.name, named, value, exemplar=self._exemplars.get((tally, labels)))
        return made

    def histogram(self, tally: Tally, family: Family) -> Metric:
        made = _empty(family)
        bounds = [bound_label(bound) for bound in (*self._bounds[tally], math.inf)]
        for labels, cells in self._cells[tally].items():
            named = dict(zip(family.labels, labels, strict=True))
            so_far = 0.0
            for bound in bounds:
                so_far += cells.get(bound, 0)
                exemplar = self._exemplars.get((tally, (*labels, bound)))
                made.add_sample(f"{family.name}_bucket", {**named, "le": bound}, so_far, exemplar=exemplar)
            made.add_sample(f"{family.name}_count", named, so_far)
            made.add_sample(f"{family.name}_sum", named, cells.get(SUM, 0))
        return made

    def _add(self, labels: Labels, tally: Tally, number: float) -> None:
        if tally in _HISTOGRAMS:
            *outer, cell = labels
            self._cells[tally].setdefault(tuple(outer), {})[cell] = number
        else:
            self._values[tally][labels] = number


def _tasks(snapshots: Iterable[Snapshot], known: Iterable[Labels]) -> Iterable[tuple[Labels, float]]:
    tasks: Counter[Labels] = Counter(dict.fromkeys(known, 0))
    for snapshot in snapshots:
        for task in snapshot.tasks:
            seen = task.seen
            tasks[*snapshot.account, seen.task_type, seen.phase, seen.state] += 1
    return tasks.items()


def _stalled(snapshots: Iterable[Snapshot], view: View) -> Iterable[tuple[Labels, float]]:
    stalled: Counter[Labels] = Counter()
    for snapshot in snapshots:
        account = snapshot.account
        sight = Sight(snapshot.at, 0.0, view.stall_after)
        for task_type in TASK_TYPES[account.provider]:
            for phase in active_phases(account.provider):
                stalled[*account, task_type, phase] = 0
        for task in snapshot.tasks:
            if task.ended is None:
                labels = (*account, task.seen.task_type, task.seen.phase)
                stalled[labels] += sight.stalled(task)
    return stalled.items()


def _failed(snapshots: Iterable[Snapshot]) -> Iterable[tuple[Labels, float]]:
    failed: Counter[Labels] = Counter()
    for snapshot in snapshots:
        account = snapshot.account
        for task_type in TASK_TYPES[account.provider]:
            for reason in FailureReason:
                failed[*account, task_type, reason] = 0
        for task in snapshot.tasks:
            if failed_by := failure(task):
                failed[*account, task.seen.task_type, failed_by] += 1
    return failed.items()


def _oldest(snapshots: Iterable[Snapshot]) -> Iterable[tuple[Labels, float]]:
    oldest: dict[Labels, float] = {}
    for snapshot in snapshots:
        for task in snapshot.tasks:
            if task.ended is None and task.seen.created is not None and not task.seen.awaits_file:
                key = (*snapshot.account, task.seen.task_type, task.seen.state)
                oldest[key] = min(task.seen.created, oldest.get(key, math.inf))
    return oldest.items()


def _empty(family: Family) -> Metric:
    name = family.name.removesuffix("_total") if family.kind is Kind.COUNTER else family.name
    return Metric(name, family.help, family.kind)
