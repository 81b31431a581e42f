"""What is known about one account's tasks, and the changes that it grows by."""

import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from exporter.model import OTHER, PHASES, Account, Observation, State, Task, Transition
from exporter.tracking.adoption import NONE, Adoption
from exporter.tracking.packing import PackedTask, pack, unpack
from exporter.tracking.tally import DEFAULT_BUCKETS, Buckets, Count, Tally, counts
from exporter.tracking.tracker import Moment, advance

MAX_UNKNOWN_PHASES: Final = 16
"""Phases outside the documentation that get a label of their own; any further one is `other`."""

_OBSERVED: Final[Mapping[Tally, Callable[[Transition], float | None]]] = {
    Tally.DURATION: lambda transition: transition.duration,
    Tally.PHASE_DURATION: lambda transition: transition.phase_duration,
}


class Exemplar(NamedTuple):
    """A task that stands for the last event of a counter.

    Attributes:
        task: Its id.
        value: What it added; of a histogram, what was observed.
        at: When (steady seconds).
    """

    task: str
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Change:
    """What one part of a poll makes of the knowledge of an account: the unit that a ledger commits.

    Attributes:
        account: Whose tasks these are.
        at: When it came about (steady seconds).
        opened: When the account was first watched.
        position: How far it has now been read.
        tasks: New and changed tasks.
        packed: The same, as they are stored.
        gone: Ids of tasks to forget.
        counts: Where the counters that moved now stand.
        exemplars: The tasks that moved them.
        failed: The tasks that have failed.
    """

    account: Account
    at: float
    opened: float
    position: float | None
    tasks: tuple[Task, ...]
    packed: Mapping[str, PackedTask]
    gone: tuple[str, ...]
    counts: Mapping[Count, float]
    exemplars: Mapping[Count, Exemplar]
    failed: tuple[Task, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it leaves all tasks and counters as they are."""
        return not (self.tasks or self.gone or self.counts)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent picture of an account: the tasks that have series, and all counters.

    What is not another object than in the snapshot before has not changed.

    Attributes:
        account: The account.
        at: When it was taken (steady seconds).
        tasks: Active tasks, and ended ones until the retention is over.
        counts: Where the counters stand.
        exemplars: The last task of counters that tell one.
    """

    account: Account
    at: float
    tasks: tuple[Task, ...]
    counts: Mapping[Count, float]
    exemplars: Mapping[Count, Exemplar]


class _Shown(NamedTuple):
    """The tasks that have series, with which retention that is so, and until when (steady seconds)."""

    tasks: tuple[Task, ...]
    retention: float
    until: float


class Knowledge:
    """Everything that is known about one account. One thread writes, any may take snapshots.

    A task is in one of three places: active, recently ended (it still has series), or ended, where it is
    kept packed and in the order of the ends.
    """

    def __init__(
        self,
        account: Account,
        opened: float,
        *,
        retention: float = 900.0,
        buckets: Buckets = DEFAULT_BUCKETS,
        position: float | None = None,
        tasks: Mapping[str, PackedTask] = MappingProxyType({}),
        counts: Mapping[Count, float] = MappingProxyType({}),
        now: float = 0.0,
        adoption: Adoption = NONE,
    ) -> None:
        """Know nothing yet, or what is remembered.

        Args:
            account: The account.
            opened: When it was first watched (steady seconds).
            retention: Seconds for which an ended task keeps its series.
            buckets: Of the histograms.
            position: How far it has been read.
            tasks: Remembered tasks, in the order in which they ended.
            counts: Where the counters stand.
            now: The present (steady seconds), to tell which of the tasks ended recently.
            adoption: Which of the tasks that are not known yet are taken over from another exporter.
        """
        self.account = account
        self.opened = opened
        self.retention = retention
        self.adoption = adoption
        self._buckets = buckets
        self._lock = threading.Lock()
        self._active: dict[str, Task] = {}
        self._recent: dict[str, Task] = {}
        self._ended: dict[str, PackedTask] = {}
        # Replaced, never changed: a snapshot holds the very same object until there is another.
        self._counts: Mapping[Count, float] = dict(counts)
        self._exemplars: Mapping[Count, Exemplar] = {}
        self._shown = _Shown((), retention, until=-math.inf)
        self._unknown_phases = self._unknown(counts)
        self._position = position
        for task_id, packed in tasks.items():
            if packed.ended is None:
                if task := unpack(task_id, packed):
                    self._active[task_id] = _past(task, now)
            elif now - packed.ended < retention:
                if task := unpack(task_id, packed):
                    self._recent[task_id] = _past(task, now)
            else:
                self._ended[task_id] = packed

    @property
    def position(self) -> float | None:
        """How far the account has been read (seconds, the provider's clock); None before the first page."""
        return self._position

    @property
    def active(self) -> Mapping[str, Task]:
        """The tasks that have not ended. For the thread that writes."""
        return MappingProxyType(self._active)

    @property
    def tasks(self) -> Collection[str]:
        """The ids of all tasks that are remembered. For the thread that writes."""
        return _Ids((self._active, self._recent, self._ended))

    def task(self, task_id: str) -> Task | None:
        """Return what is known about a task. For the thread that writes."""
        if task := self._active.get(task_id) or self._recent.get(task_id):
            return task
        packed = self._ended.get(task_id)
        return None if packed is None else unpack(task_id, packed)

    def ended_before(self, moment: float, most: int) -> tuple[str, ...]:
        """Return at most so many tasks that ended before a moment (steady seconds), the oldest first."""
        oldest = islice(self._ended.items(), most)
        return tuple(task_id for task_id, packed in oldest if packed.ended is None or packed.ended < moment)

    def plan(
        self,
        now: Moment,
        *,
        observations: Iterable[Observation] = (),
        gone: Iterable[str] = (),
        position: float | None = None,
    ) -> Change:
        """Work out what an answer changes, without changing anything.

        Args:
            now: When it came.
            observations: What it said, in its order.
            gone: Ids of tasks to forget.
            position: How far the account has now been read; None if unchanged.
        """
        tasks: dict[str, Task] = {}
        added: Counter[Count] = Counter()
        exemplars: dict[Count, Exemplar] = {}
        failed: list[Task] = []
        phases = set(self._unknown_phases)
        for observation in observations:
            seen = self._bounded(observation, phases)
            before = tasks.get(seen.task) or self.task(seen.task)
            if transition := advance(before, seen, now, self.opened, self.adoption.moment(seen)):
                tasks[seen.task] = transition.after
                if transition.entered and seen.state is State.FAILED:
                    failed.append(transition.after)
                for count, number in counts(transition, self._buckets):
                    added[count] += number  # type: ignore[assignment]
                    observed = _OBSERVED[count.tally](transition) if count.tally in _OBSERVED else None
                    value = number if observed is None else observed
                    exemplars[count] = Exemplar(seen.task, value, now.steady)
        return Change(
            account=self.account,
            at=now.steady,
            opened=self.opened,
            position=self._position if position is None else position,
            tasks=tuple(tasks.values()),
            packed={task_id: pack(task) for task_id, task in tasks.items()},
            gone=tuple(task_id for task_id in gone if self.task(task_id)),
            counts={count: self._counts.get(count, 0) + number for count, number in added.items()},
            exemplars=exemplars,
            failed=tuple(failed),
        )

    def apply(self, change: Change) -> None:
        """Make a change visible, whole."""
        with self._lock:
            for task_id in (*(task.id for task in change.tasks), *change.gone):
                self._active.pop(task_id, None)
                self._recent.pop(task_id, None)
                self._ended.pop(task_id, None)
            for task in change.tasks:
                (self._active if task.ended is None else self._recent)[task.id] = task
            if change.counts:
                self._counts = {**self._counts, **change.counts}
                self._exemplars = {**self._exemplars, **change.exemplars}
            self._unknown_phases |= self._unknown(change.counts)
            self._position = change.position
            if change.tasks or change.gone:
                self._shown = self._shown._replace(until=-math.inf)
            for task in [task for task in self._recent.values() if not self._lately(task, change.at)]:
                del self._recent[task.id]
                # Most of a first look ended long ago, and were packed a moment ago.
                self._ended[task.id] = change.packed.get(task.id) or pack(task)

    def snapshot(self, now: float) -> Snapshot:
        """Return the present picture; `now` in steady seconds, never before that of an earlier one.

        Whatever is the same as in the snapshot before is the very same object.
        """
        with self._lock:
            if now >= self._shown.until or self._shown.retention != self.retention:
                self._shown = self._show(now)
            return Snapshot(self.account, now, self._shown.tasks, self._counts, self._exemplars)

    def dump(self) -> tuple[Mapping[str, PackedTask], Mapping[Count, float]]:
        """Return everything, to be stored anew."""
        with self._lock:
            unpacked = (*self._active.values(), *self._recent.values())
            return {**self._ended, **{task.id: pack(task) for task in unpacked}}, self._counts

    def _show(self, now: float) -> "_Shown":
        recent = [task for task in self._recent.values() if self._lately(task, now)]
        first = min((task.ended for task in recent if task.ended is not None), default=math.inf)
        return _Shown((*self._active.values(), *recent), self.retention, first + self.retention)

    def _lately(self, task: Task, now: float) -> bool:
        return task.ended is None or now < task.ended + self.retention

    def _bounded(self, seen: Observation, phases: set[str]) -> Observation:
        """Keep the number of labels bounded, whatever words a provider comes up with."""
        if seen.phase in PHASES[self.account.provider] or seen.phase in phases:
            return seen
        if len(phases) >= MAX_UNKNOWN_PHASES:
            return msgspec.structs.replace(seen, phase=OTHER)
        phases.add(seen.phase)
        return seen

    def _unknown(self, counts: Iterable[Count]) -> set[str]:
        """Return the phases outside the documentation; a task can fail in one of them as well."""
        documented = PHASES[self.account.provider]
        entered = {count.labels[1] for count in counts if count.tally is Tally.PHASE_ENTRIES}
        return {phase for phase in entered if phase not in documented}


class _Ids(Collection[str]):
    """The keys of several mappings that have none in common."""

    def __init__(self, places: Sequence[Mapping[str, object]]) -> None:
        self._places = places

    def __contains__(self, task_id: object) -> bool:
        return any(task_id in place for place in self._places)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._places)

    def __len__(self) -> int:
        return sum(map(len, self._places))


def _past(task: Task, now: float) -> Task:
    """Leave nothing in the future, should the machine's clock have been set back while nobody watched."""
    if max(task.changed, task.ended or 0.0) <= now:
        return task
    ended = None if task.ended is None else min(task.ended, now)
    return msgspec.structs.replace(task, changed=min(task.changed, now), ended=ended)
