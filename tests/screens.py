"""A real pseudo-terminal, with somebody who looks at it."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory

import pyte

from tests.processes import EXPORTER, environment, wait_until

# A terminal of its own, so that a Ctrl-C that is typed there interrupts the program that runs there.
_CONTROLLED = (
    sys.executable,
    "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY); os.execv(sys.argv[1], sys.argv[1:])",
)

CTRL_C = b"\x03"


class Terminal:
    """A program that runs in a terminal, and what can be seen there."""

    def __init__(self, popen: subprocess.Popen[bytes], master: int, columns: int, lines: int) -> None:
        self.popen = popen
        self._master = master
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, without blanks at their ends."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.lines)

    @property
    def written(self) -> bytes:
        """All that the program has written, escape sequences included."""
        with self._lock:
            return bytes(self._written)

    def hides_cursor(self) -> bool:
        with self._lock:
            return bool(self._screen.cursor.hidden)

    def echoes(self) -> bool:
        """Whether what is typed shows."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def colours(self, line: int) -> set[str]:
        """The colours of a line's characters."""
        with self._lock:
            cells = self._screen.buffer[line]
            return {cell.fg for cell in cells.values() if cell.data != " "}

    def see(self, condition: Callable[[str], object], what: str, seconds: float = 30.0) -> str:
        """Wait until the screen is as a condition says; return it.

        What is drawn comes in pieces: the condition names all that is looked at.
        """

        def seen() -> str | None:
            text = self.text
            return text if condition(text) else None

        try:
            return wait_until(seen, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.text}") from None

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resize(self, columns: int, lines: int) -> None:
        with self._lock:
            self._screen.resize(lines, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def end(self, seconds: float = 30.0) -> int:
        """Wait for the end of the program; return its status."""
        status = self.popen.wait(seconds)
        self._reader.join(seconds)
        return status

    def _read(self) -> None:
        # The system says EIO once the program has gone.
        with suppress(OSError):
            while chunk := os.read(self._master, 65536):
                with self._lock:
                    self._written += chunk
                    self._stream.feed(chunk)


@contextmanager
def on_terminal(*arguments: str, columns: int = 120, lines: int = 30, **variables: str) -> Iterator[Terminal]:
    """The exporter, run with these arguments in a terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    settings = environment()
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        settings.pop(name, None)
    settings |= {"TERM": "xterm-256color", **variables}
    with TemporaryDirectory() as folder:
        popen = subprocess.Popen(
            [*_CONTROLLED, *EXPORTER, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=settings,
            start_new_session=True,
        )
        os.close(slave)
        terminal = Terminal(popen, master, columns, lines)
        try:
            yield terminal
        finally:
            popen.kill()
            popen.wait()
            terminal.end()
            os.close(master)
