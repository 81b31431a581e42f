"""What is known about one account's tasks, and the changes that it grows by."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from exporter.model import OTHER, PHASES, Account, Observation, State, Task
from exporter.tracking.tally import Count, Tally, counts
from exporter.tracking.tracker import advance

MAX_UNKNOWN_PHASES: Final = 16
"""Phases outside the documentation that get a label of their own; any further one is `other`."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one page of a poll adds to the knowledge of an account: the unit that a ledger commits.

    Attributes:
        account: Whose tasks these are.
        tasks: New and changed tasks.
        gone: Ids of tasks to forget.
        counts: What is added to the counters.
        position: How far the account has been read; None if unchanged.
    """

    account: Account
    tasks: tuple[Task, ...]
    gone: tuple[str, ...]
    counts: Mapping[Count, int]
    position: float | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent picture of an account: the tasks that have series, and all counters."""

    account: Account
    tasks: tuple[Task, ...]
    counts: Mapping[Count, int]


class Knowledge:
    """Everything that is known about one account. One thread writes, any may take snapshots."""

    def __init__(self, account: Account, opened: float) -> None:
        """Know nothing yet; `opened` is when the account is first watched (seconds since the epoch)."""
        self.account = account
        self.opened = opened
        self._lock = threading.Lock()
        self._tasks: dict[str, Task] = {}
        self._active: dict[str, Task] = {}
        self._recent: dict[str, Task] = {}
        self._counts: Counter[Count] = Counter()
        self._unknown_phases: set[str] = set()
        self._position: float | None = None

    @property
    def position(self) -> float | None:
        """How far the account has been read (seconds, the provider's clock); None before the first page."""
        return self._position

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Every task that is remembered, by id. For the thread that writes."""
        return MappingProxyType(self._tasks)

    @property
    def active(self) -> Mapping[str, Task]:
        """Those that have not ended. For the thread that writes."""
        return MappingProxyType(self._active)

    def plan(
        self,
        now: float,
        *,
        observations: Iterable[Observation] = (),
        gone: Iterable[str] = (),
        position: float | None = None,
    ) -> Change:
        """Work out what an answer changes, without changing anything.

        Args:
            now: Seconds since the epoch.
            observations: What it said, in its order.
            gone: Ids of tasks to forget.
            position: How far the account has now been read; None if unchanged.
        """
        tasks: dict[str, Task] = {}
        added: Counter[Count] = Counter()
        phases = set(self._unknown_phases)
        for observation in observations:
            seen = self._bounded(observation, phases)
            before = tasks.get(seen.task) or self._tasks.get(seen.task)
            if transition := advance(before, seen, now, self.opened):
                tasks[seen.task] = transition.after
                for count, number in counts(transition):
                    added[count] += number
        forgotten = tuple(task for task in gone if task in self._tasks)
        return Change(self.account, tuple(tasks.values()), forgotten, added, position)

    def apply(self, change: Change) -> None:
        """Make a change visible, whole."""
        with self._lock:
            for task in change.tasks:
                self._tasks[task.id] = task
                here, there = (
                    (self._active, self._recent) if task.ended is None else (self._recent, self._active)
                )
                here[task.id] = task
                there.pop(task.id, None)
            for task_id in change.gone:
                for index in (self._tasks, self._active, self._recent):
                    index.pop(task_id, None)
            self._counts.update(change.counts)
            for count in change.counts:
                if count.tally is Tally.PHASE_ENTRIES and count.labels[2] == State.UNKNOWN:
                    self._unknown_phases.add(count.labels[1])
            if change.position is not None:
                self._position = change.position

    def snapshot(self, now: float, retention: float) -> Snapshot:
        """Return the active tasks, those that ended less than `retention` seconds ago, and the counters."""
        with self._lock:
            self._recent = {
                task.id: task
                for task in self._recent.values()
                if task.ended is not None and now - task.ended < retention
            }
            return Snapshot(
                self.account, (*self._active.values(), *self._recent.values()), dict(self._counts)
            )

    def _bounded(self, seen: Observation, phases: set[str]) -> Observation:
        """Keep the number of labels bounded, whatever words a provider comes up with."""
        if seen.phase in PHASES[self.account.provider] or seen.phase in phases:
            return seen
        if len(phases) >= MAX_UNKNOWN_PHASES:
            return replace(seen, phase=OTHER)
        phases.add(seen.phase)
        return seen
