"""One answer of a running exporter's JSON API, or why there is none."""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import msgspec
import requests
import urllib3
from requests.auth import HTTPBasicAuth

from exporter.http_client import Deadline, TooLargeError, create_session, read_body
from exporter.report.records import ErrorRecord
from exporter.report.words import span
from exporter.terminal.source import SourceError

_MIB: Final = 1024 * 1024

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


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of our time and memory whatever answers may take.

    Attributes:
        connect: Seconds to reach it.
        answer: Seconds for one answer, from connecting to the last byte.
        question: Seconds for all the answers to one question; many tasks come in many.
        size: Bytes of one answer, decompressed; a page of 1,000 tasks is about 1 MiB.
    """

    connect: float = 5.0
    answer: float = 30.0
    question: float = 120.0
    size: int = 64 * _MIB


LIMITS: Final = Limits()
"""What is enough for a large exporter that is far away."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    location: str
    body: bytes


class Api:
    """The API, one call at a time."""

    def __init__(self, access: Access, limits: Limits) -> None:
        """Ask nothing yet.

        Args:
            access: How it is reached.
            limits: What it may take.
        """
        self.name = access.url.rstrip("/")
        self._limits = limits
        self._until = 0.0
        self._session = create_session("", connections=1)
        if access.user:
            # As bytes, for requests would write them as Latin-1.
            self._session.auth = HTTPBasicAuth(access.user.encode(), access.password.encode())
        self._verify = str(access.ca_file) if access.ca_file else True
        if access.cert_file:
            key = access.key_file or access.cert_file
            self._session.cert = (str(access.cert_file), str(key))

    def begin(self) -> None:
        """Begin a question, that may take several calls; its time runs."""
        self._until = monotonic() + self._limits.question

    def get(self, path: str, kind: type[T], query: Sequence[tuple[str, str]] = ()) -> T:
        """Return what is there. Raises `SourceError`."""
        return self._read(self._fetch(path, query), kind)

    def find(self, path: str, kind: type[T]) -> T | None:
        """Return what is there; None if the exporter says that it is not. Raises `SourceError`."""
        answer = self._fetch(path, ())
        missing = answer.status == 404 and _words(answer)
        return None if missing else self._read(answer, kind)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _read(self, answer: _Answer, kind: type[T]) -> T:
        if answer.status != 200:
            raise self._error(_refusal(answer), lasting=_stays(answer.status))
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._error(f"its answer can't be understood: {error}", lasting=True) from None

    def _fetch(self, path: str, query: Sequence[tuple[str, str]]) -> _Answer:
        deadline = Deadline(max(0.0, min(self._limits.answer, self._until - monotonic())))
        try:
            with deadline:
                response = self._session.get(
                    f"{self.name}/api/v1/{path}",
                    params=list(query),
                    stream=True,
                    timeout=(self._limits.connect, self._limits.answer),
                    verify=self._verify,
                    allow_redirects=False,
                )
                with response:
                    body = read_body(response.raw, self._limits.size)
                if deadline.passed:
                    # Cut off, a body without a length looks complete.
                    raise TimeoutError
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if deadline.passed or isinstance(error, requests.Timeout | TimeoutError):
                raise self._error(self._late(error)) from None
            raise self._error(_why(error) + self._hint(error), lasting=_lasting(error)) from None
        except TooLargeError:
            most = f"{self._limits.size / _MIB:g} MiB"
            raise self._error(f"its answer exceeds {most}; is it an exporter?", lasting=True) from None
        return _Answer(response.status_code, response.headers.get("Location", ""), body)

    def _late(self, error: BaseException) -> str:
        """Return in words which time was up, and what can be done."""
        if isinstance(error, requests.ConnectTimeout):
            return f"it can't be reached within {span(self._limits.connect)}; is there a firewall?"
        if monotonic() >= self._until:
            return f"it has not told all within {span(self._limits.question)}; ask for fewer tasks"
        return f"its answer is not complete after {span(self._limits.answer)}; is it overloaded?"

    def _hint(self, error: BaseException) -> str:
        """Return what may be behind it that we are turned away, as who shows no certificate is."""
        turned_away = any(
            isinstance(cause, ConnectionResetError)
            or (isinstance(cause, ssl.SSLError) and "CERTIFICATE_REQUIRED" in (cause.reason or ""))
            for cause in _causes(error)
        )
        if turned_away and self.name.startswith("https:") and not self._session.cert:
            return "; it may want a certificate: --cert-file"
        return ""

    def _error(self, why: str, *, lasting: bool = False) -> SourceError:
        return SourceError(f"can't ask {self.name}: {why}", lasting=lasting)


def _refusal(answer: _Answer) -> str:
    words = _REMEDIES.get(answer.status) or _words(answer)
    if answer.location:
        words = f"it sends us to {answer.location}"
    return f"HTTP {answer.status}{': ' if words else ''}{words}"


def _stays(status: int) -> bool:
    """Whether a refusal will be the same later: what can't be done now, or so often, may then be."""
    return status < 500 and status != 429


def _words(answer: _Answer) -> str:
    """Return what the exporter says about an error; empty if that is not how the exporter says it."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(answer.body, type=ErrorRecord).error
    return ""


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and all that led to it."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        # What urllib3 says of TLS only carries its cause along.
        carried = next((part for part in cause.args if isinstance(part, BaseException)), None)
        cause = cause.__cause__ or cause.__context__ or carried
    return causes


def _why(error: BaseException) -> str:
    """Return the cause at the bottom: what requests says is about its own objects."""
    causes = _causes(error)
    words = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return words[-1] if words else str(causes[-1])


def _lasting(error: BaseException) -> bool:
    """Whether it is how we were told to ask that can't work."""
    if isinstance(error, urllib3.exceptions.HTTPError):
        # An answer that broke off.
        return False
    if isinstance(error, requests.RequestException):
        # An unwelcome certificate is one; that the exporter hangs up may be its end.
        return isinstance(error, ValueError) or any(
            isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError)
            for cause in _causes(error)
        )
    # A file with a certificate that can't be read.
    return True
