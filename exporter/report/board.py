"""Which tasks are shown, and in which order: what needs somebody comes first. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from exporter.health import Health
from exporter.metrics.view import Sight, View, failure
from exporter.model import Account, Provider, State, Task
from exporter.report.records import AccountRecord, PollError, StateCounts, TaskRecord
from exporter.tracking.knowledge import Snapshot


class Sort(StrEnum):
    """What the tasks are sorted by."""

    URGENCY = "urgency"
    TASK = "task"
    ACCOUNT = "account"
    STATE = "state"
    PROGRESS = "progress"
    RETRIES = "retries"
    CREATED = "created"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Wish:
    """Which tasks are wanted; what is empty excludes nothing.

    Attributes:
        providers, accounts, states, task_types: One of these.
        stalled: Only those that are, or are not.
        search: A part of the id, the phase, the reason, an asset, the project or a custom label, in
            whatever case.
        sort: What they are sorted by.
        descending: The other way round.
    """

    providers: frozenset[Provider] = frozenset()
    accounts: frozenset[str] = frozenset()
    states: frozenset[State] = frozenset()
    task_types: frozenset[str] = frozenset()
    stalled: bool | None = None
    search: str = ""
    sort: Sort = Sort.URGENCY
    descending: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """A task as it is seen: of which account, under which name, and whether it is stalled."""

    account: Account
    task: Task
    name: str
    stalled: bool


_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
"""Stands for a change so far back, by a provider whose clock is far off, that no calendar has it."""

# What needs somebody, then what goes on, then what is over.
_RANKS: Final = {
    State.UNKNOWN: 2,
    State.RUNNING: 3,
    State.QUEUED: 4,
    State.FAILED: 5,
    State.CANCELLED: 5,
    State.COMPLETED: 5,
}


class Board:
    """All tasks and accounts at one moment."""

    def __init__(
        self,
        snapshots: Sequence[Snapshot],
        healths: Mapping[Account, Health],
        view: View,
        to_date: float,
        *,
        part: str = "",
    ) -> None:
        """Look at what is known.

        Args:
            snapshots: One of each account.
            healths: How the polls of each account went.
            view: How tasks are to be shown.
            to_date: What to add to a steady time to make it a date.
            part: Whose tasks these are, as `words.part` says it; empty if they are all there are.
        """
        self.part = part
        self._snapshots = snapshots
        self._healths = healths
        self._view = view
        self._to_date = to_date

    def tasks(
        self, wish: Wish, offset: int = 0, limit: int | None = None
    ) -> tuple[Sequence[TaskRecord], int]:
        """Return the wanted tasks from `offset` on, at most `limit`, and how many there are in all."""
        wanted = _sorted((seen for seen in self._seen(wish) if _wanted(seen, wish)), wish)
        end = None if limit is None else offset + limit
        return [self._record(seen) for seen in wanted[offset:end]], len(wanted)

    def task(self, account: Account, names: Iterable[str]) -> TaskRecord | None:
        """Return a task of an account by one of its names; None if there is none that is shown."""
        wanted = frozenset(names)
        of_account = Wish(providers=frozenset({account.provider}), accounts=frozenset({account.name}))
        return next((self._record(seen) for seen in self._seen(of_account) if seen.name in wanted), None)

    def names(self, provider: Provider) -> frozenset[str]:
        """Return the names of the accounts at a provider."""
        accounts = (snapshot.account for snapshot in self._snapshots)
        return frozenset(account.name for account in accounts if account.provider is provider)

    def accounts(self) -> Sequence[AccountRecord]:
        """Return every account, those that are down first."""
        records = [self._account(snapshot) for snapshot in self._snapshots]
        return sorted(records, key=lambda record: record.up is not False)

    def _seen(self, wish: Wish) -> Iterable[_Seen]:
        for snapshot in self._snapshots:
            provider, account = snapshot.account
            if (wish.providers and provider not in wish.providers) or (
                wish.accounts and account not in wish.accounts
            ):
                continue
            sight = Sight(snapshot.at, self._to_date, self._view.stall_after)
            for task in snapshot.tasks:
                yield _Seen(snapshot.account, task, self._view.label(provider, task.id), sight.stalled(task))

    def _record(self, seen: _Seen) -> TaskRecord:
        task, told = seen.task, seen.task.seen
        return TaskRecord(
            provider=seen.account.provider,
            account=seen.account.name,
            task=seen.name,
            task_type=told.task_type,
            phase=told.phase,
            state=told.state,
            stalled=seen.stalled,
            history=task.history,
            progress=None if told.progress is None else min(1.0, max(0.0, told.progress)),
            retries=task.retries,
            warnings=told.warnings,
            reason=told.reason if told.state is State.FAILED else None,
            message=told.message,
            created=moment(told.created),
            scheduled=moment(told.scheduled),
            updated=moment(told.updated),
            finished=moment(told.finished),
            changed=moment(task.changed + self._to_date) or _LONG_AGO,
            project=told.project,
            input_asset=told.input_asset,
            output_asset=told.output_asset,
            labels=dict(told.labels),
        )

    def _account(self, snapshot: Snapshot) -> AccountRecord:
        provider, name = snapshot.account
        sight = Sight(snapshot.at, self._to_date, self._view.stall_after)
        health = self._healths.get(snapshot.account, Health())
        return AccountRecord(
            provider=provider,
            account=name,
            up=health.up,
            since=moment(health.since),
            outcome=health.outcome,
            polled=moment(health.polled),
            poll_seconds=health.seconds,
            succeeded=moment(health.succeeded),
            errors=[
                PollError(
                    endpoint=error.endpoint, reason=error.reason, message=error.message, times=error.times
                )
                for error in health.errors
            ],
            tasks=_counts(task.seen.state for task in snapshot.tasks),
            stalled=sum(map(sight.stalled, snapshot.tasks)),
            failed=sum(failure(task) is not None for task in snapshot.tasks),
        )


def moment(seconds: float | None) -> datetime | None:
    """Return seconds since the epoch as a date in UTC; one that no calendar has is none."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def together(counts: Iterable[StateCounts]) -> StateCounts:
    """Return the sum of several counts."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update({state: getattr(one, state) for state in State})
    return _state_counts(total)


def _counts(states: Iterable[State]) -> StateCounts:
    return _state_counts(Counter(states))


def _state_counts(counted: Mapping[str, int]) -> StateCounts:
    return StateCounts(**{state: counted[state] for state in State})


def _wanted(seen: _Seen, wish: Wish) -> bool:
    told = seen.task.seen
    if wish.states and told.state not in wish.states:
        return False
    if wish.task_types and told.task_type not in wish.task_types:
        return False
    if wish.stalled is not None and seen.stalled is not wish.stalled:
        return False
    return not wish.search or wish.search.casefold() in _words(seen)


def _words(seen: _Seen) -> str:
    told = seen.task.seen
    words = (seen.name, told.phase, told.reason or "", told.project, told.input_asset, told.output_asset)
    return "\n".join((*words, *(value for _, value in told.labels))).casefold()


def _urgency(seen: _Seen) -> tuple[int, float, str]:
    """Stalled ones first, the longest of all on top; then failures, the latest on top.

    What goes on is in the order in which it began, the oldest on top: rows that move with each bit of
    progress can't be read.
    """
    task = seen.task
    if seen.stalled:
        return 0, task.changed, seen.name
    if failure(task):
        return 1, -task.changed, seen.name
    rank = _RANKS[task.seen.state]
    if task.ended is not None:
        return rank, -task.changed, seen.name
    return rank, math.inf if task.begun is None else task.begun, seen.name


# What the tasks are sorted by unless it is by urgency; None where it is not known.
_KEYS: Final[Mapping[Sort, Callable[[_Seen], Any]]] = {
    Sort.TASK: lambda seen: seen.name,
    Sort.ACCOUNT: lambda seen: seen.account,
    Sort.STATE: lambda seen: (seen.task.seen.state, seen.task.seen.phase),
    Sort.PROGRESS: lambda seen: seen.task.seen.progress,
    Sort.RETRIES: lambda seen: seen.task.retries,
    Sort.CREATED: lambda seen: seen.task.seen.created,
    Sort.CHANGED: lambda seen: seen.task.changed,
}


def _sorted(tasks: Iterable[_Seen], wish: Wish) -> Sequence[_Seen]:
    """Return the tasks in the wanted order; ties are in that of urgency.

    What is not known comes last either way round: who sorts by progress wants to see some.
    """
    urgent = sorted(tasks, key=_urgency)
    if wish.sort is Sort.URGENCY:
        return urgent[::-1] if wish.descending else urgent
    key = _KEYS[wish.sort]
    known = [seen for seen in urgent if key(seen) is not None]
    unknown = [seen for seen in urgent if key(seen) is None]
    return sorted(known, key=key, reverse=wish.descending) + unknown
