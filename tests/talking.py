"""A client that sends exactly the bytes that a test gives it, and reads answers one by one."""

import contextlib
import re
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

ENDED = (ConnectionError, ssl.SSLError)
"""How a connection that has ended shows."""

GET = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"


class Reply(NamedTuple):
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Talk:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._received = b""

    @classmethod
    def to(cls, url: str) -> Self:
        """Connect to the host of a URL."""
        host, port = url.split("/")[2].rsplit(":", 1)
        return cls(socket.create_connection((host.strip("[]"), int(port)), timeout=20))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, text: str | bytes) -> bool:
        """Send it all; return whether the other side was still there."""
        try:
            self.socket.sendall(text.encode() if isinstance(text, str) else text)
        except ENDED:
            return False
        return True

    def get(self, path: str) -> Reply:
        """Ask for a page, and read it."""
        assert self.send(GET.format(path))
        return self.read()

    def read(self, method: str = "GET") -> Reply:
        """Read one answer; fail if the connection ends before."""
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): text for name, text in (line.split(": ", 1) for line in lines)}
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)
        assert match, first
        length = 0 if method == "HEAD" or match[1] == "100" else int(headers["content-length"])
        while len(self._received) < length:
            self._more()
        body, self._received = self._received[:length], self._received[length:]
        return Reply(int(match[1]), headers, body)

    def rest(self) -> bytes:
        """Read until the connection ends, in whatever way."""
        with contextlib.suppress(*ENDED):
            while piece := self.socket.recv(65536):
                self._received += piece
        rest, self._received = self._received, b""
        return rest

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        assert piece, f"the connection ended after {self._received!r}"
        self._received += piece
