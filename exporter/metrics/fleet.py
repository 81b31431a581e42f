"""The families of the fleet: bounded, whatever number of tasks there is. Pure functions."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.samples import Exemplar

from exporter.metrics import families
from exporter.metrics.groups import Group
from exporter.metrics.samples import BUCKET, Labels, Sample, Series
from exporter.metrics.view import Picture
from exporter.metrics.zeros import active_phases, known_counts
from exporter.model import TASK_TYPES, FailureReason
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


def fleet(picture: Picture, groups: Sequence[Group]) -> Iterator[Series]:
    """Yield every family of the fleet."""
    tallies = _Tallies(picture)
    yield Series(families.TASKS, _tasks(groups, tallies.labels(Tally.PHASE_ENTRIES)))
    for tally, family in _COUNTERS.items():
        yield Series(family, tallies.counter(tally))
    for tally, family in _HISTOGRAMS.items():
        yield Series(family, tallies.histogram(tally))
    yield Series(families.STALLED, _stalled(picture, groups))
    yield Series(families.FAILED, _failed(picture, groups))
    yield Series(families.OLDEST_ACTIVE, _oldest(groups))


class _Tallies:
    """The counters of all accounts, by tally and by labels, those that are still at 0 included."""

    def __init__(self, picture: Picture) -> None:
        view = picture.view
        self._bounds = {
            Tally.DURATION: view.buckets.duration,
            Tally.PHASE_DURATION: view.buckets.phase_duration,
        }
        self._values: defaultdict[Tally, dict[Labels, float]] = defaultdict(dict)
        self._cells: defaultdict[Tally, dict[Labels, dict[str, float]]] = defaultdict(dict)
        self._exemplars: dict[tuple[Tally, Labels], Exemplar] = {}
        for snapshot in picture.snapshots:
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
                    self._exemplars[key] = Exemplar({"task": label}, value, at + picture.to_date)

    def labels(self, tally: Tally) -> Iterable[Labels]:
        return self._values[tally]

    def counter(self, tally: Tally) -> Iterator[Sample]:
        for labels, value in self._values[tally].items():
            yield Sample(labels, value, exemplar=self._exemplars.get((tally, labels)))

    def histogram(self, tally: Tally) -> Iterator[Sample]:
        bounds = [bound_label(bound) for bound in (*self._bounds[tally], math.inf)]
        for labels, cells in self._cells[tally].items():
            so_far = 0.0
            for bound in bounds:
                so_far += cells.get(bound, 0)
                bucket = (*labels, bound)
                yield Sample(bucket, so_far, BUCKET, self._exemplars.get((tally, bucket)))
            yield Sample(labels, so_far, "_count")
            yield Sample(labels, cells.get(SUM, 0), "_sum")

    def _add(self, labels: Labels, tally: Tally, number: float) -> None:
        if tally in _HISTOGRAMS:
            *outer, cell = labels
            self._cells[tally].setdefault(tuple(outer), {})[cell] = number
        else:
            self._values[tally][labels] = number


def _samples(values: Mapping[Labels, float]) -> Iterable[Sample]:
    return [Sample(labels, value) for labels, value in values.items()]


def _tasks(groups: Sequence[Group], known: Iterable[Labels]) -> Iterable[Sample]:
    tasks: Counter[Labels] = Counter(dict.fromkeys(known, 0))
    for group in groups:
        tasks[*group.account, group.task_type, group.phase, group.state] += group.tasks
    return _samples(tasks)


def _stalled(picture: Picture, groups: Sequence[Group]) -> Iterable[Sample]:
    stalled: Counter[Labels] = Counter()
    for snapshot in picture.snapshots:
        for task_type in TASK_TYPES[snapshot.account.provider]:
            for phase in active_phases(snapshot.account.provider):
                stalled[*snapshot.account, task_type, phase] = 0
    for group in groups:
        if not group.state.terminal:
            stalled[*group.account, group.task_type, group.phase] += group.stalled
    return _samples(stalled)


def _failed(picture: Picture, groups: Sequence[Group]) -> Iterable[Sample]:
    failed: Counter[Labels] = Counter()
    for snapshot in picture.snapshots:
        for task_type in TASK_TYPES[snapshot.account.provider]:
            for reason in FailureReason:
                failed[*snapshot.account, task_type, reason] = 0
    for group in groups:
        if group.failure:
            failed[*group.account, group.task_type, group.failure] += group.tasks
    return _samples(failed)


def _oldest(groups: Sequence[Group]) -> Iterable[Sample]:
    oldest: dict[Labels, float] = {}
    for group in groups:
        if group.oldest is not None:
            key = (*group.account, group.task_type, group.state)
            oldest[key] = min(group.oldest, oldest.get(key, math.inf))
    return _samples(oldest)
