"""A running exporter, asked over its JSON API."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from exporter.report.board import Wish
from exporter.report.records import AccountList, AccountRecord, StatusRecord, TaskPage, TaskRecord
from exporter.report.words import part
from exporter.terminal.api import LIMITS, Access, Api, Limits
from exporter.terminal.source import Look, Sighting, TaskName, asked_for, most_urgent, searched, urgent

_PAGE: Final = 1000
"""Tasks that one answer holds at most."""


class HttpSource:
    """A running exporter."""

    def __init__(self, access: Access, limits: Limits = LIMITS) -> None:
        """Ask nothing yet.

        Args:
            access: How it is reached.
            limits: What it may take.
        """
        self._api = Api(access, limits)
        self.name = self._api.name
        self.close = self._api.close

    def look(self, wish: Wish, limit: int | None) -> Look:
        """Return the wanted tasks; more than one answer holds come one page at a time."""
        self._api.begin()
        status = self._api.get("status", StatusRecord)
        now, which = status.now, part(status.shard, status.total_shards)
        accounts = asked_for(wish, self._api.get("accounts", AccountList).accounts, which)
        tasks: dict[tuple[str, str, str], TaskRecord] = {}
        for page in self._pages(wish, limit):
            total = page.total
            # A task that moved in between may stand on two pages.
            tasks |= {(task.provider, task.account, task.task): task for task in page.tasks}
        shown = list(tasks.values())
        if len(shown) >= total:
            return Look(now, shown, total, any(map(urgent, shown)), accounts, which)
        first = self._page(most_urgent(wish), 0, 1).tasks
        return Look(now, shown, total, any(map(urgent, first)), accounts, which)

    def find(self, name: TaskName) -> Sighting:
        """Return the tasks of that name."""
        self._api.begin()
        status = self._api.get("status", StatusRecord)
        which = part(status.shard, status.total_shards)
        accounts = searched(name, self._api.get("accounts", AccountList).accounts, which)
        found = (self._task(account, name.task) for account in accounts)
        return Sighting([task for task in found if task], accounts, which)

    def _pages(self, wish: Wish, limit: int | None) -> Iterator[TaskPage]:
        offset = 0
        while limit is None or offset < limit:
            page = self._page(wish, offset, _PAGE if limit is None else min(_PAGE, limit - offset))
            yield page
            offset += len(page.tasks)
            if not page.tasks or offset >= page.total:
                return

    def _page(self, wish: Wish, offset: int, limit: int) -> TaskPage:
        return self._api.get(
            "tasks", TaskPage, [*_query(wish), ("offset", str(offset)), ("limit", str(limit))]
        )

    def _task(self, account: AccountRecord, task: str) -> TaskRecord | None:
        path = "/".join(quote(part, safe="") for part in (account.provider, account.account, task))
        return self._api.find(f"tasks/{path}", TaskRecord)


def _query(wish: Wish) -> list[tuple[str, str]]:
    stalled = [] if wish.stalled is None else [("stalled", "true" if wish.stalled else "false")]
    search = [("search", wish.search)] if wish.search else []
    return [
        *(("provider", provider) for provider in sorted(wish.providers)),
        *(("account", account) for account in sorted(wish.accounts)),
        *(("state", state) for state in sorted(wish.states)),
        *(("task_type", task_type) for task_type in sorted(wish.task_types)),
        *stalled,
        *search,
        ("sort", wish.sort),
        ("order", "desc" if wish.descending else "asc"),
    ]
