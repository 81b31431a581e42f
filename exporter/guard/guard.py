"""Who is let in, and over what: what the file of `--web.config.file` asks for, as it now stands on disk."""

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from exporter.guard.files import Files
from exporter.guard.rate_limit import TokenBucket
from exporter.guard.tls import RenewedContext, admits, server_context
from exporter.guard.users import Users, Verdict
from exporter.guard.web_config import WebConfig, WebConfigError, load_settled
from exporter.server.gate import Refusal, later

_LOOK_EVERY: Final = 1.0

_log = structlog.get_logger()


_UNAUTHORIZED: Final = Refusal(
    401,
    (("WWW-Authenticate", 'Basic realm="transcoding-exporter", charset="UTF-8"'),),
    "A user name and its password are wanted here.",
)


@dataclass(frozen=True, slots=True)
class _InForce:
    """One state of the file, ready to be used."""

    config: WebConfig
    context: ssl.SSLContext | None
    users: Users | None
    bucket: TokenBucket | None


def _put_into_force(config: WebConfig, before: _InForce | None) -> _InForce:
    """Return what a configuration asks for; what it asks for as before goes on, with what it remembers."""
    hashes, limit = config.basic_auth_users, config.rate_limit
    tls = config.tls_server_config
    if before and before.config.tls_server_config == tls:
        context = before.context
    else:
        context = server_context(tls) if tls else None
    if before and before.config.basic_auth_users == hashes:
        users = before.users
    else:
        users = Users(dict(hashes)) if hashes else None
    if before and before.config.rate_limit == limit:
        bucket = before.bucket
    else:
        bucket = TokenBucket(limit.interval, limit.burst) if limit.interval else None
    return _InForce(config, context, users, bucket)


class Guard:
    """What the file of `--web.config.file` asks for, as it now stands on disk.

    Whatever comes in, be it a connection or a request, makes it look at the files, at most once a second. A
    change with a mistake in it is not taken: the last good state stays in force, and the next look tries
    again. Safe to use from several threads.

    Attributes:
        tls: What to listen with; it stays the same while the certificates change. None: not encrypted.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        tell: Callable[[bool], None] = lambda _: None,
        look_every: float = _LOOK_EVERY,
    ) -> None:
        """Read the file.

        Args:
            path: The file; None lets everybody in.
            tell: Told after each reading whether what is on disk is in force.
            look_every: Seconds between two looks at the files.

        Raises:
            WebConfigError: With every mistake there is.
        """
        self._path = path
        self._tell = tell
        self._look_every = look_every
        self._lock = threading.Lock()
        self._mistakes: tuple[str, ...] = ()
        config, self._files = (WebConfig(), Files()) if path is None else load_settled(path)
        self._state = _put_into_force(config, None)
        self._next_look = time.monotonic() + look_every
        self.tls: ssl.SSLContext | None = RenewedContext(self._context) if self._state.context else None
        tell(True)

    @property
    def mistakes(self) -> tuple[str, ...]:
        """Why what is on disk is not in force; empty if it is."""
        return self._mistakes

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """What to add to every answer."""
        return self._now().config.http_server_config.headers.pairs()

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a client may ask for anything.

        Args:
            certificate: The client's, as `SSLObject.getpeercert()` tells it; None if it has none.
        """
        tls = self._now().config.tls_server_config
        return tls is None or admits(tls, certificate)

    def known(self, authorization: str | None) -> bool:
        """Whether `refusal` would answer at once."""
        users = self._now().users
        return users is None or users.known(authorization)

    def refusal(self, authorization: str | None) -> Refusal | None:
        """Return why a request is not to be answered; None if it is.

        It may take some 100 ms, unless the header `Authorization` is `known`, and counts for the rate limit.
        """
        now = self._now()
        if now.bucket and (seconds := now.bucket.take()):
            return later(seconds)
        if now.users is None:
            return None
        return None if now.users.look_at(authorization) is Verdict.RIGHT else _UNAUTHORIZED

    def _context(self) -> ssl.SSLContext:
        context = self._now().context
        assert context  # noqa: S101 - TLS neither comes nor goes while we run
        return context

    def _now(self) -> _InForce:
        # Who comes while another one looks takes what was there before.
        if time.monotonic() >= self._next_look and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._next_look = time.monotonic() + self._look_every
                self._lock.release()
        return self._state

    def _look(self) -> None:
        if self._path is None or not (self._mistakes or self._files.changed()):
            return
        try:
            config, self._files = load_settled(self._path)
        except WebConfigError as error:
            self._refuse(_log.error, tuple(map(str, error.mistakes)))
            return
        if (config.tls_server_config is None) != (self._state.context is None):
            verb = "removed" if config.tls_server_config is None else "added"
            self._refuse(_log.warning, (f"{self._path}: tls_server_config was {verb}; restart the exporter",))
            return
        if self._mistakes or config != self._state.config:
            _log.info("web configuration reloaded", file=str(self._path))
        self._mistakes = ()
        self._state = _put_into_force(config, self._state)
        self._tell(True)

    def _refuse(self, log: Any, mistakes: tuple[str, ...]) -> None:
        if mistakes != self._mistakes:
            for mistake in mistakes:
                log("web configuration not reloaded, the one before stays", mistake=mistake)
        self._mistakes = mistakes
        self._tell(False)
