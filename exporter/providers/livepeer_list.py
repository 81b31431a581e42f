"""Livepeer Studio: reading the list of tasks, whatever state the server is in.

Three *styles*, the best first: by keyset; plain pages of 1,000, newest first; and the bare list with its
default page of 20, for a server that refuses every parameter.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from exporter.model import Account, Clock, Endpoint, ErrorReason, Observation
from exporter.providers.livepeer_answer import Listing, next_cursor, read_list
from exporter.providers.service import ApiError, Page
from exporter.providers.transport import Transport

LIMIT: Final = 1000
"""Tasks on one page; the server cuts a greater limit to this."""

SHIFT: Final = 100
"""Records that two pages by offset have in common: tasks that change between them leave the first one, and as
many innocent ones behind them would be missed."""

SHRINK: Final = 8
"""By how much a page that the server can't make is reduced, until it holds a single record."""

BAD_IN_A_ROW: Final = 5
"""Unreadable records side by side after which it is not the records but the server."""

FALLBACK_REST: Final = 3600.0
"""Seconds until the keyset is tried again on a server that refused it."""

BROKEN_REST: Final = 300.0
"""Seconds until a server that failed in every style is asked more than one question a poll again."""

_TOO_MUCH: Final = frozenset({ErrorReason.TOO_LARGE, ErrorReason.TIMEOUT})
_REFUSALS: Final = frozenset({400, 422, 500})

_log = structlog.get_logger()


class _RefusedError(Exception):
    """The server does not read the list in this style."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A page that came.

    Attributes:
        listing: What is on it.
        tasks: Those on it that were asked for.
        position: The time (seconds) up to which nothing is missing now; None if unknown.
    """

    listing: Listing
    tasks: tuple[Observation, ...]
    position: float | None
    at: float


@dataclass(frozen=True, slots=True)
class _Style:
    """One way to read the list since a moment (milliseconds)."""

    name: str
    read: Callable[[int], Iterator[_Stretch]]


@dataclass(slots=True)
class _Window:
    """What the next keyset page is to hold.

    Attributes:
        start: The least updatedAt (milliseconds).
        most: Records on a page that the server can make in time.
        skip: Records since `start` to leave out.
        limit: Records at most.
        suspects: Records from here on of which one, at least, makes each page fail that it is on.
        bad: Such records found side by side.
    """

    start: int
    most: int
    limit: int
    skip: int = 0
    suspects: int = 0
    bad: int = 0

    def parameters(self) -> dict[str, str]:
        """Return the query; `gte`, because equal times are common."""
        keyset = [{"id": "updatedAt", "value": {"gte": self.start}}]
        parameters = {
            "filters": json.dumps(keyset, separators=(",", ":")),
            "order": "updatedAt-false,id-false",
            "limit": str(self.limit),
        }
        return {**parameters, "cursor": f"skip{self.skip}"} if self.skip else parameters

    def narrow(self) -> bool:
        """Close in on the one record that makes a page of any size fail; False if that is not the cause."""
        self.suspects = self.limit
        if self.limit > 1:
            self.limit = max(1, self.limit // SHRINK)
        else:
            self.skip += 1
            self.bad += 1
        return self.bad <= BAD_IN_A_ROW

    def ignored_by(self, listing: Listing) -> bool:
        """Whether the page is not the one that was asked for."""
        times = _milliseconds(listing)
        return listing.length > self.limit or any(
            later < earlier for earlier, later in zip([self.start, *times], times, strict=False)
        )

    def advance(self, listing: Listing) -> None:
        """Move behind a page that came."""
        times = _milliseconds(listing)
        newest = max(times, default=self.start)
        if newest == self.start:
            passed = listing.length - (SHIFT if listing.length == self.most > SHIFT else 0)
            self.skip += passed
        elif self.limit > 1:
            # What has the newest time comes again; there may be more of it.
            passed = listing.length - times.count(newest)
            self.start, self.skip = newest, 0
        else:
            passed = 1
            self.start, self.skip = newest, 1
        self.suspects -= passed
        if self.suspects <= 0:
            self.limit, self.suspects, self.bad = self.most, 0, 0


def _milliseconds(listing: Listing) -> list[int]:
    return [round(task.updated * 1000) for task in listing.tasks if task.updated is not None]


def _updated(tasks: Iterable[Observation], since: int) -> Iterator[Observation]:
    """Leave out what is older: it was read before and may be forgotten by now, and must not count again."""
    return (task for task in tasks if task.updated is None or task.updated * 1000 >= since)


@dataclass(frozen=True, slots=True)
class _Reply:
    """A page as it came: its cursor for the next one, and when it was made (the server's clock)."""

    listing: Listing
    cursor: str | None
    at: float

    @property
    def newest(self) -> float | None:
        """The latest update, times ahead of the server's left out: what comes until then would be missed."""
        times = (task.updated for task in self.listing.tasks if task.updated)
        return max((time for time in times if time <= self.at), default=None)


class LivepeerList:
    """The list of one account's tasks. Used by one thread at a time."""

    def __init__(self, account: Account, transport: Transport, clock: Clock, url: str) -> None:
        self._account = account
        self._transport = transport
        self._clock = clock
        self._url = url
        self._styles = (
            _Style("keyset", self._keyset),
            _Style("pages", lambda since: self._plain(since, {"limit": str(LIMIT)})),
            _Style("bare", lambda since: self._plain(since, {})),
        )
        self._first_style = 0
        self._most = LIMIT
        self._full_pages_at = 0.0
        self._keyset_at = 0.0
        self._search_at = 0.0

    def read(self, since: float) -> Iterator[Page]:
        """Yield everything that was updated since then (seconds, the server's clock), page by page.

        A page's position is one up to which nothing is missing.

        Raises:
            ApiError: the list can't be read on; what was yielded is good.
        """
        now = self._clock.monotonic()
        if self._keyset_at <= now:
            self._first_style = 0
        for place, style in list(enumerate(self._styles))[self._first_style :]:
            try:
                yield from self._pages(style.read(max(0, int(since * 1000))))
            except _RefusedError as refusal:
                if style is self._styles[-1] or self._clock.monotonic() < self._search_at:
                    self._search_at = max(self._search_at, now + BROKEN_REST)
                    raise refusal.error from None
                _log.warning(
                    "list refused, reading it another way",
                    account=str(self._account),
                    style=style.name,
                    error=str(refusal),
                )
            else:
                if place != self._first_style:
                    self._first_style, self._keyset_at = place, now + FALLBACK_REST
                return

    def _pages(self, stretches: Iterator[_Stretch]) -> Iterator[Page]:
        """Yield what can be read, and count and log what can't."""
        readable = False
        mistakes: Counter[str] = Counter()
        for stretch in stretches:
            for mistake in stretch.listing.mistakes:
                self._invalid(mistake)
            mistakes.update(stretch.listing.mistakes)
            readable = readable or bool(stretch.listing.tasks)
            if stretch.tasks:
                yield Page(stretch.tasks, stretch.position, stretch.at)
        for mistake, times in mistakes.items():
            _log.warning("tasks skipped", account=str(self._account), error=mistake, times=times)
        if mistakes and not readable:
            # Not single records, but the answer is wrong. Each of them is counted already.
            raise ApiError(
                f"none of {mistakes.total()} tasks can be read: {next(iter(mistakes))}",
                reason=ErrorReason.INVALID_RESPONSE,
                endpoint=Endpoint.LIVEPEER_LIST,
            )

    def _keyset(self, since: int) -> Iterator[_Stretch]:
        """Read on from the greatest updatedAt seen; within one single updatedAt, by offset."""
        if self._full_pages_at <= self._clock.monotonic():
            self._most = LIMIT
        window = _Window(since, self._most, self._most)
        before: Listing | None = None
        while True:
            try:
                reply = self._ask(window.parameters())
            except ApiError as error:
                if error.reason in _TOO_MUCH:
                    # Asked again, the same page would fail the same way; the next poll asks for less.
                    self._most = max(1, window.limit // SHRINK)
                    self._full_pages_at = self._clock.monotonic() + FALLBACK_REST
                if error.status not in _REFUSALS:
                    raise
                searching = error.status == 500 and self._clock.monotonic() >= self._search_at
                if not searching or not window.narrow():
                    raise _RefusedError(error) from None
                continue
            listing = reply.listing
            if window.ignored_by(listing) or (window.skip and listing.length and listing == before):
                raise _RefusedError(self._invalid("the server ignores the filter, the order or the limit"))
            # A server may cut the limit further than to ours: then its Link tells that there is more.
            last = not listing.length or (listing.length < window.limit and reply.cursor is None)
            window.advance(listing)
            yield _Stretch(listing, listing.tasks, reply.newest, reply.at)
            if last:
                return
            before = listing

    def _plain(self, since: int, parameters: Mapping[str, str]) -> Iterator[_Stretch]:
        """Read pages newest first, by the server's cursors, until one reaches back to `since`."""
        seen: set[str] = set()
        newest: list[float] = []
        cursor: dict[str, str] = {}
        before: Listing | None = None
        while True:
            try:
                reply = self._ask({**parameters, **cursor})
            except ApiError as error:
                if error.status in _REFUSALS and not seen:
                    raise _RefusedError(error) from None
                raise
            listing = reply.listing
            newest += [] if reply.newest is None else [reply.newest]
            fresh = {task.task for task in listing.tasks} - seen
            seen |= fresh
            behind = any(time < since for time in _milliseconds(listing))
            repeated = listing == before or not (fresh or listing.mistakes)
            last = reply.cursor is None or repeated or behind
            # Newest first: only at the end is there no gap behind what was read.
            position = max(newest, default=None) if last else None
            yield _Stretch(listing, tuple(_updated(listing.tasks, since)), position, reply.at)
            if last:
                return
            cursor, before = {"cursor": reply.cursor or ""}, listing

    def _ask(self, parameters: Mapping[str, str]) -> _Reply:
        answer = self._transport.get(Endpoint.LIVEPEER_LIST, self._url, parameters)
        try:
            listing = read_list(answer.body)
        except msgspec.DecodeError as error:
            raise self._invalid(str(error)) from None
        cursor = next_cursor(answer.headers.get("Link"))
        return _Reply(listing, cursor, answer.moment(self._clock.time()))

    def _invalid(self, message: str) -> ApiError:
        return self._transport.error(Endpoint.LIVEPEER_LIST, ErrorReason.INVALID_RESPONSE, message)
