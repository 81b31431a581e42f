"""What the server asks before it lets anybody in; `Guard` is what answers it."""

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Header = tuple[str, str]


class Refused(Protocol):
    """The answer to a request that is not let in."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Sequence[Header]:
        """The headers that belong to it."""

    @property
    def words(self) -> str:
        """Why, for a person."""


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

    def refusal(self, authorization: str | None) -> Refused | None:
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

    def refusal(self, authorization: str | None) -> Refused | None:
        """None."""
        return None
