"""A running exporter, asked over its JSON API."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec
import requests
from requests.auth import AuthBase, HTTPBasicAuth

from exporter.report.board import Wish
from exporter.report.records import (
    AccountList,
    AccountRecord,
    ErrorRecord,
    StatusRecord,
    TaskPage,
    TaskRecord,
)
from exporter.terminal.source import (
    Look,
    Sighting,
    SourceError,
    TaskName,
    asked_for,
    most_urgent,
    searched,
    urgent,
)

_TIMEOUTS: Final = (5.0, 30.0)
"""Seconds to connect, and to wait for an answer."""

_PAGE: Final = 1000
"""Tasks that one answer holds at most."""

_REMEDIES: Final[Mapping[int, str]] = {
    401: "it wants a user and a password: --user and --password-file",
    403: "it does not let us",
    404: "there is no API of an exporter; is a route prefix missing?",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """How a running exporter is reached.

    Attributes:
        url: Where it is, with its route prefix.
        user: For basic authentication; empty for none.
        password: Of that user.
        ca_file: Whom to trust instead of the system's authorities.
        cert_file: Our certificate, if it wants one.
        key_file: Its key.
    """

    url: str
    user: str = ""
    password: str = ""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class _Nobody(AuthBase):
    """No authentication: without it, requests would look for some in a .netrc file."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class HttpSource:
    """A running exporter."""

    def __init__(self, access: Access) -> None:
        self.name = access.url.rstrip("/")
        self._session = requests.Session()
        # As bytes, for requests would write them as Latin-1.
        self._session.auth = (
            HTTPBasicAuth(access.user.encode(), access.password.encode()) if access.user else _Nobody()
        )
        self._verify = str(access.ca_file) if access.ca_file else True
        if access.cert_file:
            key = access.key_file or access.cert_file
            self._session.cert = (str(access.cert_file), str(key))

    def look(self, wish: Wish, limit: int | None) -> Look:
        """Return the wanted tasks; more than one answer holds come one page at a time."""
        now = self._get("status", StatusRecord).now
        accounts = asked_for(wish, self._get("accounts", AccountList).accounts)
        tasks: dict[tuple[str, str, str], TaskRecord] = {}
        for page in self._pages(wish, limit):
            total = page.total
            # A task that moved in between may stand on two pages.
            tasks |= {(task.provider, task.account, task.task): task for task in page.tasks}
        shown = list(tasks.values())
        if len(shown) >= total:
            return Look(now, shown, total, any(map(urgent, shown)), accounts)
        first = self._page(most_urgent(wish), 0, 1).tasks
        return Look(now, shown, total, any(map(urgent, first)), accounts)

    def find(self, name: TaskName) -> Sighting:
        """Return the tasks of that name."""
        accounts = searched(name, self._get("accounts", AccountList).accounts)
        found = (self._task(account, name.task) for account in accounts)
        return Sighting([task for task in found if task], accounts)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _pages(self, wish: Wish, limit: int | None) -> Iterator[TaskPage]:
        offset = 0
        while limit is None or offset < limit:
            page = self._page(wish, offset, _PAGE if limit is None else min(_PAGE, limit - offset))
            yield page
            offset += len(page.tasks)
            if not page.tasks or offset >= page.total:
                return

    def _page(self, wish: Wish, offset: int, limit: int) -> TaskPage:
        return self._get("tasks", TaskPage, [*_query(wish), ("offset", str(offset)), ("limit", str(limit))])

    def _task(self, account: AccountRecord, task: str) -> TaskRecord | None:
        path = "/".join(quote(part, safe="") for part in (account.provider, account.account, task))
        return self._ask(f"tasks/{path}", TaskRecord, none_if_missing=True)

    def _get(self, path: str, kind: type[T], query: Sequence[tuple[str, str]] = ()) -> T:
        answer = self._ask(path, kind, query)
        assert answer is not None  # noqa: S101 - only what may be missing can be
        return answer

    def _ask(
        self,
        path: str,
        kind: type[T],
        query: Sequence[tuple[str, str]] = (),
        *,
        none_if_missing: bool = False,
    ) -> T | None:
        try:
            answer = self._session.get(
                f"{self.name}/api/v1/{path}",
                params=list(query),
                timeout=_TIMEOUTS,
                verify=self._verify,
                allow_redirects=False,
            )
        except requests.Timeout:
            raise self._error("it does not answer in time") from None
        except (requests.RequestException, OSError) as error:
            raise self._error(_why(error) + self._hint(error), lasting=_lasting(error)) from None
        if answer.status_code == 404 and none_if_missing and _words(answer):
            return None
        if answer.status_code != 200:
            raise self._error(_refusal(answer), lasting=_stays(answer.status_code))
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._error(f"its answer can't be understood: {error}", lasting=True) from None

    def _hint(self, error: BaseException) -> str:
        """Return what may be behind it that the exporter hangs up, as it does on who shows no certificate."""
        hung_up = any(isinstance(cause, ConnectionResetError) for cause in _causes(error))
        if hung_up and self.name.startswith("https:") and not self._session.cert:
            return "; it may want a certificate: --cert-file"
        return ""

    def _error(self, why: str, *, lasting: bool = False) -> SourceError:
        return SourceError(f"can't ask {self.name}: {why}", lasting=lasting)


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


def _refusal(answer: requests.Response) -> str:
    status = answer.status_code
    words = _REMEDIES.get(status) or _words(answer)
    if location := answer.headers.get("Location"):
        words = f"it sends us to {location}"
    return f"HTTP {status}{': ' if words else ''}{words}"


def _stays(status: int) -> bool:
    """Whether a refusal will be the same later: what can't be done now, or so often, may then be."""
    return status < 500 and status != 429


def _words(answer: requests.Response) -> str:
    """Return what the exporter says about an error; empty if that is not how the exporter says it."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(answer.content, type=ErrorRecord).error
    return ""


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and all that led to it."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes


def _why(error: BaseException) -> str:
    """Return the cause at the bottom: what requests says is about its own objects."""
    causes = _causes(error)
    words = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return words[-1] if words else str(causes[-1])


def _lasting(error: BaseException) -> bool:
    """Whether it is how we were told to ask that can't work."""
    if isinstance(error, requests.RequestException):
        # An unwelcome certificate is one; that the exporter hangs up may be its end.
        return isinstance(error, ValueError) or any(
            isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError)
            for cause in _causes(error)
        )
    # A file with a certificate that can't be read.
    return True
