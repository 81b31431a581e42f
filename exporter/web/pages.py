"""The pages for people: the status of everything, and the runbooks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, request, url_for
from werkzeug.datastructures import MultiDict

from exporter.model import Account, Provider, State
from exporter.report.board import Board, Sort, Wish, together
from exporter.report.records import AccountRecord, TaskRecord
from exporter.report.words import own_tasks_only, percent, span
from exporter.web.page import page
from exporter.web.runbooks import runbook, runbook_index

PAGE: Final = 50
"""Tasks on one page."""

_FARTHEST: Final = 10**9
"""The greatest offset: more tasks than anybody has."""

HELP: Final = {
    "down": "TranscodingAccountDown",
    "stalled": "TranscodingTaskStalled",
    "failed": "TranscodingTaskFailed",
}
"""The runbooks that tell what to do about what the verdict says."""

_E = TypeVar("_E", bound=StrEnum)


class Column(StrEnum):
    """The columns of the table, by their titles."""

    TASK = "Task"
    ACCOUNT = "Account"
    STATE = "Phase"
    PROGRESS = "Progress"
    CREATED = "Age"
    CHANGED = "Unchanged"
    RETRIES = "Retries"


_SORTS: Final = {
    Column.TASK: Sort.TASK,
    Column.ACCOUNT: Sort.ACCOUNT,
    Column.STATE: Sort.STATE,
    Column.PROGRESS: Sort.PROGRESS,
    Column.CREATED: Sort.CREATED,
    Column.CHANGED: Sort.CHANGED,
    Column.RETRIES: Sort.RETRIES,
}

_ABOUT: Final = {
    Column.CREATED: "Time since it was created",
    Column.CHANGED: "Time since its phase or progress last changed",
}
"""What the titles that need it mean."""

_GREAT_FIRST: Final = frozenset({Sort.PROGRESS, Sort.RETRIES})
"""What begins with the greatest, unless it is wanted the other way round: that is the more telling end."""

_AGES: Final = frozenset({Sort.CREATED, Sort.CHANGED})
"""Dates that are shown as ages: the earlier the one, the greater the other."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The head of a column.

    Attributes:
        title: What stands there.
        about: What that means; empty if it goes without saying.
        url: Sorts by the column; the other way round, if the table is sorted by it already.
        order: `ascending` or `descending`, as what is shown, if the table is sorted by it; else `none`.
    """

    title: str
    about: str
    url: str
    order: str


@dataclass(frozen=True, slots=True)
class Query:
    """What the page is asked for.

    Attributes:
        account: Only this one's tasks; None for those of all.
        states: Only tasks in one of these; empty for all.
        stalled: Only those that are.
        search: What they have to contain.
        sort: What they are sorted by.
        reversed: The other way round than one usually wants it.
        offset: How many come before those on the page.
    """

    account: Account | None = None
    states: frozenset[State] = frozenset()
    stalled: bool = False
    search: str = ""
    sort: Sort = Sort.URGENCY
    reversed: bool = False
    offset: int = 0

    @classmethod
    def of(cls, arguments: MultiDict[str, str]) -> "Query":
        """Read it from a URL; what makes no sense there counts as nothing."""
        offset = arguments.get("offset", 0, type=int)
        return cls(
            account=_account(arguments.get("account", "")),
            states=_chosen(State, arguments, "state"),
            stalled=arguments.get("stalled") == "true",
            search=arguments.get("search", "").strip(),
            sort=next(iter(_chosen(Sort, arguments, "sort")), Sort.URGENCY),
            reversed=arguments.get("reversed") == "true",
            offset=min(max(0, offset), _FARTHEST),
        )

    @property
    def wish(self) -> Wish:
        """Which tasks it asks for, in the words of the board."""
        return Wish(
            providers=frozenset({self.account.provider} if self.account else ()),
            accounts=frozenset({self.account.name} if self.account else ()),
            states=self.states,
            stalled=True if self.stalled else None,
            search=self.search,
            sort=self.sort,
            descending=self.reversed != (self.sort in _GREAT_FIRST),
        )

    def url(self) -> str:
        """Return the URL of the page that answers it, with nothing in it that goes without saying."""
        pairs: list[tuple[str, str]] = [("search", self.search)] if self.search else []
        pairs += [("account", str(self.account))] if self.account else []
        pairs += [("state", state) for state in State if state in self.states]
        pairs += [("stalled", "true")] if self.stalled else []
        pairs += [("sort", self.sort)] if self.sort is not Sort.URGENCY else []
        pairs += [("reversed", "true")] if self.reversed else []
        pairs += [("offset", str(self.offset))] if self.offset else []
        root: str = url_for("pages.status")
        return f"{root}?{urlencode(pairs)}" if pairs else root

    def headings(self) -> Sequence[Heading]:
        """Return the heads of the columns."""
        return [self._heading(column, _SORTS[column]) for column in Column]

    def _heading(self, column: Column, sort: Sort) -> Heading:
        sorted_by_it = self.sort is sort
        turned = sorted_by_it and not self.reversed
        url = replace(self, sort=sort, reversed=turned, offset=0).url()
        falling = self.wish.descending != (sort in _AGES)
        order = ("descending" if falling else "ascending") if sorted_by_it else "none"
        return Heading(column, _ABOUT.get(column, ""), url, order)


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of the bar that shows how many tasks are in which state: from where, and how wide (of 100)."""

    state: str
    start: float
    width: float


def pages(board: Callable[[], Board], now: Callable[[], datetime], path: str, grafana_url: str) -> Blueprint:
    """Return the pages.

    Args:
        board: Returns everything that is known, as new as can be had quickly.
        now: Returns the present moment.
        path: Where the status is.
        grafana_url: Where the dashboards are; empty if that is not known.
    """
    made = Blueprint("pages", __name__, static_folder="static", static_url_path="/static")

    @made.get(path)
    def status() -> Response:
        known, query = board(), Query.of(request.args)
        at = now()
        accounts = known.accounts()
        tasks, total = known.tasks(query.wish, query.offset, PAGE)
        if not tasks and query.offset:
            # What was on this page has ended meanwhile.
            query = replace(query, offset=(max(0, total - 1) // PAGE) * PAGE)
            tasks, total = known.tasks(query.wish, query.offset, PAGE)
        return page(
            "status.html",
            query=query,
            part=own_tasks_only(known.part),
            accounts=accounts,
            keys=sorted(str(Account(account.provider, account.account)) for account in accounts),
            counts=together(account.tasks for account in accounts),
            stalled=sum(account.stalled for account in accounts),
            failed=sum(account.failed for account in accounts),
            down=[account for account in accounts if account.up is False],
            seen=any(account.up is not None for account in accounts),
            tasks=tasks,
            total=total,
            **_neighbours(query, total),
            ago=lambda moment: span((at - moment).total_seconds()),
            at=at,
            percent=percent,
            bars=_bars,
            dashboard=lambda task: _dashboard(grafana_url, task),
            grafana_url=grafana_url,
            help=HELP,
            State=State,
            Sort=Sort,
        )

    # Flask would redirect with the Host header in its answer.
    @made.get("/runbooks/", strict_slashes=False)
    def runbooks() -> Response:
        return page("runbooks.html", runbooks=runbook_index())

    @made.get("/runbooks/<name>")
    def one_runbook(name: str) -> Response:
        text = runbook(name.removesuffix(".md"))
        if text is None:
            abort(404)
        return page("runbook.html", name=name, text=text)

    return made


def _account(key: str) -> Account | None:
    provider, _, name = key.partition("/")
    return Account(Provider(provider), name) if name and provider in set(Provider) else None


def _chosen(kind: type[_E], arguments: MultiDict[str, str], name: str) -> frozenset[_E]:
    words = set(arguments.getlist(name))
    return frozenset(one for one in kind if one in words)


def _neighbours(query: Query, total: int) -> Mapping[str, str | None]:
    before, after = query.offset - PAGE, query.offset + PAGE
    return {
        "previous_url": replace(query, offset=max(0, before)).url() if query.offset else None,
        "next_url": replace(query, offset=after).url() if after < total else None,
    }


def _bars(account: AccountRecord) -> Sequence[Bar]:
    counted = {state: getattr(account.tasks, state) for state in State}
    total = sum(counted.values())
    made, start = [], 0.0
    for state, number in counted.items():
        if number:
            width = 100 * number / total
            made.append(Bar(state, round(start, 2), round(width, 2)))
            start += width
    return made


def _dashboard(grafana_url: str, task: TaskRecord) -> str:
    chosen = {"var-provider": task.provider, "var-account": task.account, "var-task": task.task}
    return f"{grafana_url.rstrip('/')}/d/transcoding-task?{urlencode(chosen)}" if grafana_url else ""
