"""Where the terminal's records come from: a running exporter, or the services themselves."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from exporter.model import Account, Provider, State
from exporter.report.board import Board, Sort, Wish
from exporter.report.records import AccountRecord, TaskRecord
from exporter.report.words import own_tasks_only


class SourceError(Exception):
    """It can't be asked; the message says why, for people.

    Attributes:
        lasting: Whether asking again would bring the same: a wrong password, a wrong URL.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment.

    Attributes:
        at: The moment, by the exporter's clock.
        tasks: The wanted tasks, in the wanted order; not more than wanted.
        total: How many there are in all that were asked for.
        urgent: Whether one of all those is stalled, or failed while it was watched.
        accounts: The accounts that were asked for, those that are down first.
        part: Which shard was asked, as `words.part` says it; empty if there is only one.
    """

    at: datetime
    tasks: Sequence[TaskRecord]
    total: int
    urgent: bool
    accounts: Sequence[AccountRecord]
    part: str = ""


@dataclass(frozen=True, slots=True)
class TaskName:
    """What somebody calls a task: its id or token, and its account if he names it."""

    task: str
    account: Account | None = None

    def __str__(self) -> str:
        return f"{self.account}/{self.task}" if self.account else self.task


@dataclass(frozen=True, slots=True)
class Sighting:
    """The tasks that are called so, at most one of each account.

    Attributes:
        tasks: Each under its account.
        accounts: The accounts that were searched.
        part: Which shard was asked, as `words.part` says it; empty if there is only one.
    """

    tasks: Sequence[TaskRecord]
    accounts: Sequence[AccountRecord]
    part: str = ""


class Source(Protocol):
    """Answers one question at a time."""

    @property
    def name(self) -> str:
        """What is asked, for people."""

    def look(self, wish: Wish, limit: int | None) -> Look:
        """Return the wanted tasks, at most `limit`. Raises `SourceError`."""

    def find(self, name: TaskName) -> Sighting:
        """Return the tasks of that name. Raises `SourceError`, also if there is no such account."""

    def close(self) -> None:
        """Ask no more."""


class DirectSource:
    """The services themselves, asked by an exporter in this process."""

    def __init__(
        self,
        name: str,
        refresh: Callable[[], None],
        board: Callable[[], Board],
        *,
        label: Callable[[Provider, str], str],
        now: Callable[[], datetime],
        close: Callable[[], None],
    ) -> None:
        """Ask nothing yet.

        Args:
            name: What is asked, for people.
            refresh: Polls what is due.
            board: Returns what is known.
            label: What people may see of a task's id.
            now: The exporter's clock.
            close: Closes the exporter.
        """
        self.name = name
        self.close = close
        self._refresh = refresh
        self._board = board
        self._label = label
        self._now = now

    def look(self, wish: Wish, limit: int | None) -> Look:
        """Poll what is due, and return the wanted tasks."""
        self._refresh()
        board = self._board()
        tasks, total = board.tasks(wish, 0, limit)
        first, _ = board.tasks(most_urgent(wish), 0, 1)
        return Look(self._now(), tasks, total, any(map(urgent, first)), asked_for(wish, board.accounts()))

    def find(self, name: TaskName) -> Sighting:
        """Poll what is due, and return the tasks of that name."""
        self._refresh()
        board = self._board()
        accounts = searched(name, board.accounts())
        found = (
            board.task(account_of(account), (name.task, self._label(account.provider, name.task)))
            for account in accounts
        )
        return Sighting([task for task in found if task], accounts)


def urgent(task: TaskRecord) -> bool:
    """Whether somebody should look at a task: it is stalled, or failed while it was watched."""
    return task.stalled or (task.state is State.FAILED and not task.history)


def most_urgent(wish: Wish) -> Wish:
    """Return the wish by which a task that is urgent comes first, if there is one."""
    return replace(wish, sort=Sort.URGENCY, descending=False)


def asked_for(wish: Wish, accounts: Iterable[AccountRecord], part: str = "") -> list[AccountRecord]:
    """Return the accounts whose tasks are wanted.

    Args:
        wish: Which ones.
        accounts: All that there are.
        part: Which shard has them; another one may have one that is missing.

    Raises:
        SourceError: one that is wanted is not there; a check of a mistyped one would always be fine.
    """
    wanted = [account for account in accounts if not wish.providers or account.provider in wish.providers]
    if missing := wish.accounts - {account.account for account in wanted}:
        raise SourceError(_no_account(", ".join(sorted(missing)), wanted, part), lasting=True)
    return [account for account in wanted if not wish.accounts or account.account in wish.accounts]


def account_of(record: AccountRecord | TaskRecord) -> Account:
    """Return the account that a record is about."""
    return Account(record.provider, record.account)


def searched(name: TaskName, accounts: Sequence[AccountRecord], part: str = "") -> Sequence[AccountRecord]:
    """Return the accounts in which a task of that name can be. Raises `SourceError` if there is none."""
    if name.account is None:
        return accounts
    chosen = [account for account in accounts if account_of(account) == name.account]
    if not chosen:
        raise SourceError(_no_account(str(name.account), accounts, part), lasting=True)
    return chosen


def _no_account(name: str, accounts: Iterable[AccountRecord], part: str) -> str:
    known = ", ".join(str(account_of(account)) for account in accounts)
    words = f"there is no account {name}; there are: {known or 'none'}"
    return f"{words}; {one_shard_only(part)}" if part else words


def one_shard_only(part: str) -> str:
    """Return that there are more shards than the one asked, and how to ask them; empty if it is alone."""
    return own_tasks_only(part, "--url asks another")


def task_name(text: str) -> TaskName:
    """Read `TASK` or `provider/account/TASK`.

    >>> task_name("qencode/vod/4bd1"), task_name("a/b/c").task
    (TaskName(task='4bd1', account=Account(provider=<Provider.QENCODE: 'qencode'>, name='vod')), 'a/b/c')
    """
    parts = text.split("/", 2)
    if len(parts) == 3 and parts[0] in list(Provider):
        return TaskName(parts[2], Account(Provider(parts[0]), parts[1]))
    return TaskName(text)
