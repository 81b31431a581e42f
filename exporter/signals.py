"""The signals that the process gets, one after another."""

import contextlib
import signal
import socket
from typing import Final

_ENDING: Final[tuple[int, ...]] = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """SIGTERM, SIGINT and SIGHUP, from now on.

    Their numbers come through a socket: handlers of Python's own run in the main thread alone, and of two
    signals that come at once, none may wake it.
    """

    def __init__(self) -> None:
        self._incoming, outgoing = socket.socketpair()
        outgoing.setblocking(False)
        signal.set_wakeup_fd(outgoing.detach(), warn_on_full_buffer=False)
        for number in (*_ENDING, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def wait(self) -> int:
        """Wait for the next one, and return its number."""
        return self._incoming.recv(1)[0]

    def end_at_the_next(self) -> None:
        """Let a further SIGTERM or SIGINT, which may be there already, end the process at once."""
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        self._incoming.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while (number := self.wait()) not in _ENDING:
                pass
            signal.raise_signal(number)
