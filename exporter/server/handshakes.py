"""TLS handshakes that fail, in the log: whoever connects can't fill it."""

import asyncio
import ssl
from typing import Final

import structlog

_PAUSE: Final = 1.0
"""Seconds between two lines."""

_log = structlog.get_logger()


def reason(error: ssl.SSLError) -> str:
    """Say what OpenSSL found wrong, in words."""
    words = (error.reason or "unreadable").replace("_", " ").lower()
    detail = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    return f"{words}: {detail}" if detail else words


class Handshakes:
    """Logs failed handshakes: the first at once, and those of the seconds after it in a line each second."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pause: float = _PAUSE) -> None:
        """Log nothing yet.

        Args:
            loop: Where the connections live.
            pause: Seconds between two lines.
        """
        self._loop = loop
        self._pause = pause
        self._pausing = False
        self._number = 0
        self._last = ("", "")

    def failed(self, client: str, error: ssl.SSLError) -> None:
        """Tell of one, now or a little later."""
        self._number += 1
        self._last = client, reason(error)
        if not self._pausing:
            self._tell()

    def _tell(self) -> None:
        self._pausing = self._number > 0
        if self._pausing:
            client, words = self._last
            _log.info("TLS handshake failed", client=client, reason=words, number=self._number)
            self._number = 0
            self._loop.call_later(self._pause, self._tell)
