"""A server that sends exactly the bytes that a test gives it, at the pace that it gives."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

RESET: Final = "reset"
"""A step of an answer: break the connection off."""

CLOSE: Final = "close"
"""A step of an answer: end the connection in order."""

Step = bytes | float | str
"""Bytes to send, seconds to wait, or `RESET` or `CLOSE`."""


@dataclass(frozen=True)
class Asked:
    """One request as it came in; the names of the headers are in lower case."""

    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


Answering = Callable[[Asked], bytes | Iterable[Step]]


class Wire:
    """Listens on loopback.

    Attributes:
        answering: Makes the answers; may be changed at any time.
        greeting: Sent instead to whoever connects, without reading a request.
        asked: Every request.
        connections: How many were accepted.
        ended: Counts those that were closed.
    """

    def __init__(self, answering: Answering, tls: ssl.SSLContext | None = None) -> None:
        self.answering = answering
        self.greeting: Iterable[Step] | None = None
        self.asked: list[Asked] = []
        self.connections = 0
        self.ended = threading.Semaphore(0)
        self._tls = tls
        self._stopping = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for each in (self._listening, *self._open):
            # Wakes whoever waits on it.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listening, *self._open):
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._converse(connection)
        finally:
            self.ended.release()

    def _converse(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as received:
                if self.greeting is not None:
                    # What is closed with something unread in it is reset.
                    connection.recv(65536)
                    self._answer(connection, self.greeting)
                    return
                while not self._stopping.is_set() and (line := received.readline()):
                    headers = {}
                    while (header := received.readline().decode("latin-1").strip()) != "":
                        name, _, text = header.partition(":")
                        headers[name.lower()] = text.strip()
                    request = Asked(line.split()[1].decode(), headers)
                    self.asked.append(request)
                    if not self._answer(connection, self.answering(request)):
                        return

    def _answer(self, connection: socket.socket, answer: bytes | Iterable[Step]) -> bool:
        """Whether the connection stays open."""
        for step in [answer] if isinstance(answer, bytes) else answer:
            if isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, float):
                if self._stopping.wait(step):
                    return False
            else:
                if step == RESET:
                    # Closing with a linger time of zero makes the kernel send a reset.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    connection.shutdown(socket.SHUT_RDWR)
                return False
        return True


def http(status: int, body: bytes = b"", *headers: str) -> bytes:
    """A whole answer."""
    head = [f"HTTP/1.1 {status} Some Words", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body
