"""Qencode: which master knows a job, and whether it may be asked.

A `status_url` comes from an answer, and whoever is asked gets to see the token: so it is called only if its
host is one of `allowed_hosts`.
"""

import fnmatch
import re
from collections.abc import Callable, Collection, Sequence
from typing import Final

import structlog

from exporter.model import Account, Clock

MASTER_REST: Final = 60.0
"""Seconds for which a master that failed is left alone; its tokens go through api.qencode.com."""

_log = structlog.get_logger()

_MAX_REFUSED: Final = 100
_MAX_PORT: Final = 65535

# Nothing that two readers of a URL could understand differently: no user, no query, no backslash.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>(?=[\w.-]{1,253}(?:[:/]|\Z))(?:[\w-]{1,63}\.)*[\w-]{1,63}|\[[\da-fA-F:]{2,39}\])"
    r"(?::(?P<port>\d{1,5}))?"
    r"(?:/[\w./-]*)?",
    re.ASCII,
)


def is_allowed(url: str, hosts: Sequence[str], *, plain: bool) -> bool:
    """Return whether a URL leads to one of the hosts (globs, in lower case), whoever reads it.

    Args:
        url: The `status_url` of an answer.
        hosts: Globs of hosts.
        plain: Whether it may be http.
    """
    match = _URL.fullmatch(url)
    if not match or (match["scheme"] == "http" and not plain):
        return False
    if match["port"] is not None and not 0 < int(match["port"]) <= _MAX_PORT:
        return False
    return any(fnmatch.fnmatchcase(match["host"].lower(), pattern) for pattern in hosts)


class Masters:
    """The master of each token, and those masters that are left alone for a while."""

    def __init__(
        self,
        account: Account,
        clock: Clock,
        *,
        hosts: Sequence[str],
        plain: bool,
        show: Callable[[str, str], str],
    ) -> None:
        """Know no master yet.

        Args:
            account: The account, for the log.
            clock: For the rests.
            hosts: Globs of the hosts that a `status_url` may name.
            plain: Whether it may be http.
            show: Turns a text in which a token may stand into what people may see of it.
        """
        self._account = account
        self._clock = clock
        self._hosts = tuple(host.lower() for host in hosts)
        self._plain = plain
        self._show = show
        self._urls: dict[str, str] = {}
        self._resting: dict[str, float] = {}
        self._refused: set[str] = set()

    def of(self, token: str) -> str | None:
        """Return the `status_url` of the token's master; None if it has none that we know."""
        return self._urls.get(token)

    def learn(self, token: str, url: str) -> None:
        """Remember the `status_url` of a token's newest answer, if there is one and it may be called."""
        if not url:
            return
        if is_allowed(url, self._hosts, plain=self._plain):
            self._urls[token] = url
            return
        match = _URL.fullmatch(url)
        host = self._show(match["host"], token) if match else ""
        if host not in self._refused and len(self._refused) < _MAX_REFUSED:
            self._refused.add(host)
            _log.warning(
                "status_url ignored: it is no https URL of a host in allowed_hosts",
                account=str(self._account),
                host=host,
            )

    def keep(self, tokens: Collection[str]) -> None:
        """Forget the masters of all other tokens."""
        self._urls = {token: url for token, url in self._urls.items() if token in tokens}
        self._resting = {url: until for url, until in self._resting.items() if self.rests(url)}

    def rest(self, url: str) -> None:
        """Leave a master alone for a while."""
        self._resting[url] = self._clock.monotonic() + MASTER_REST

    def rests(self, url: str) -> bool:
        """Return whether a master is left alone."""
        return self._resting.get(url, 0.0) > self._clock.monotonic()
