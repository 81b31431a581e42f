"""What the server asks before it lets anybody in; `Guard` is what answers it."""

import math
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to who is not let in.

    Attributes:
        status: The HTTP status.
        headers: Names and values of the headers that belong to it.
        words: What a person may read.
    """

    status: int
    headers: Sequence[Header]
    words: str


NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")
"""Keeps a browser from taking an answer for what it is not: a metric can have a script in its labels."""


def with_ours(headers: Iterable[Header], wanted: Iterable[Header]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer, as they are sent, with those that belong on every one.

    Args:
        headers: What the answer says of itself.
        wanted: What the operator wants on every answer; that goes before.
    """
    ours = {name.lower(): text for name, text in (NOSNIFF, *wanted)}
    found = [(name.lower(), text) for name, text in headers if name.lower() not in ours]
    return [(name.encode("latin-1"), text.encode("latin-1")) for name, text in (*found, *ours.items())]


def later(seconds: float) -> Refusal:
    """Return the answer to who is to ask again in so many seconds."""
    return Refusal(
        429, (("Retry-After", str(max(1, math.ceil(seconds)))),), "Too many requests; try again later."
    )


class Gate(Protocol):
    """Who may ask, and over what."""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What to speak TLS with; None for plain HTTP. One object for the life of the process."""

    @property
    def headers(self) -> Sequence[Header]:
        """Headers of every answer."""

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a client with this certificate may connect; quick."""

    def known(self, authorization: str | None) -> bool:
        """Whether `refusal` would answer at once; quick."""

    def refusal(self, authorization: str | None) -> Refusal | None:
        """Why a request with this header is not let in; may hash a password, which takes its time."""


class OpenGate:
    """Lets everybody in, over plain HTTP."""

    tls: ssl.SSLContext | None = None
    headers: Sequence[Header] = ()

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Yes."""
        return True

    def known(self, authorization: str | None) -> bool:
        """Yes."""
        return True

    def refusal(self, authorization: str | None) -> Refusal | None:
        """None."""
        return None
