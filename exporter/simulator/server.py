"""HTTP on loopback: keep-alive, one write per answer, every request on record, and faults on the wire."""

import socket
import struct
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from socketserver import TCPServer
from threading import Event, Lock
from typing import Protocol, overload

from exporter.simulator.answer import Answer, Request
from exporter.simulator.clock import SimulatedClock
from exporter.simulator.faults import OVERSIZE_BYTES, Fault, FaultKind, Faults, spoiled

# The vendor's server closes an idle connection after this many seconds, as its Keep-Alive header says.
KEEP_ALIVE_SECONDS = 5

_KEPT_REQUESTS = 100_000
_CHUNK = b" " * 65536


class Service(Protocol):
    """What answers requests, without knowing of sockets."""

    def target(self, path: str) -> str:
        """Return the name under which faults and the record of requests know a path."""

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request."""


class RequestLog(Sequence[Request]):
    """The requests received so far, oldest first; the oldest of very many are forgotten."""

    def __init__(self) -> None:
        self._requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self._lock = Lock()

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> list[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | list[Request]:
        with self._lock:
            return list(self._requests)[index] if isinstance(index, slice) else self._requests[index]

    def __len__(self) -> int:
        with self._lock:
            return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        with self._lock:
            return iter(list(self._requests))

    def to(self, target: str) -> list[Request]:
        """Return the requests to a target; `qencode_master` and `livepeer` stand for their groups."""
        return [r for r in self if r.target == target or r.target.startswith(f"{target}_")]

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._requests.clear()

    def add(self, request: Request) -> None:
        """Put a request on record."""
        with self._lock:
            self._requests.append(request)

    def correct(self, request: Request, sent_bytes: int) -> None:
        """Note how much of an answer went out that was recorded before it was sent."""
        with self._lock:
            for back, known in enumerate(islice(reversed(self._requests), len(self._requests)), start=1):
                if known is request:
                    self._requests[-back] = replace(request, sent_bytes=sent_bytes)
                    return


class Server(ThreadingHTTPServer):
    """One listening port of the simulator.

    Args:
        service: What answers.
        faults: The faults to apply.
        log: Where requests are recorded.
        clock: Dates the answers.
        port: The port on 127.0.0.1; 0 for any free one.
    """

    daemon_threads = True
    # A burst of connections must not be answered by the kernel with resets.
    request_queue_size = 256

    def __init__(
        self, service: Service, faults: Faults, log: RequestLog, clock: SimulatedClock, port: int = 0
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.service = service
        self.faults = faults
        self.log = log
        self.clock = clock
        self.connections = 0
        self.stopping = Event()
        self._open: set[socket.socket] = set()
        self._lock = Lock()

    def server_bind(self) -> None:
        """Bind without the look-up of a host name, which may take long where there is no name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection and count it."""
        connection, address = super().get_request()
        with self._lock:
            self.connections += 1
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection."""
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that went away; anything else is a fault of ours and is told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Stop listening and cut every connection, also those that a fault keeps waiting."""
        self.stopping.set()
        self.server_close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = KEEP_ALIVE_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Answer a GET."""
        self._serve()

    # The names are http.server's.
    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep quiet: requests are on record."""

    def _serve(self) -> None:
        request = self._received()
        fault = self.server.faults.take(request.target)
        if fault and fault.kind in _SILENT:
            self.server.log.add(request)
            self._break_off(fault)
        elif not (fault and fault.kind is FaultKind.DELAY and self.server.stopping.wait(fault.pause)):
            answer = self.server.service.answer(request)
            self._send(request, spoiled(fault, answer) if fault else answer, fault)

    def _received(self) -> Request:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return Request(
            target=self.server.service.target(path),
            method=self.command,
            path=path,
            raw_query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )

    def _break_off(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind is FaultKind.HANG:
            self.server.stopping.wait(fault.pause)
        else:
            # Closing with a linger time of zero makes the kernel send a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _send(self, request: Request, answer: Answer, fault: Fault | None) -> None:
        head = answer.head(self._connection_headers())
        body = b"" if request.method == "HEAD" else answer.body
        if fault and fault.kind is FaultKind.OVERSIZE:
            self._stream(request, replace(answer, headers=_chunked(answer), body=b""))
        elif fault and fault.kind is FaultKind.DRIP:
            self._drip(request, answer.status, head, body, fault.pause)
        else:
            # On record before it is sent, so that whoever has the answer finds it there.
            self.server.log.add(replace(request, status=answer.status, sent_bytes=len(head) + len(body)))
            self.wfile.write(head + body)

    def _connection_headers(self) -> dict[str, str]:
        date = {"Date": formatdate(self.server.clock.time(), usegmt=True)}
        if self.close_connection:
            return date | {"Connection": "close"}
        return date | {"Connection": "keep-alive", "Keep-Alive": f"timeout={KEEP_ALIVE_SECONDS}"}

    def _stream(self, request: Request, answer: Answer) -> None:
        chunk = b"%x\r\n%b\r\n" % (len(_CHUNK), _CHUNK)
        recorded = replace(request, status=answer.status)
        self.server.log.add(recorded)
        sent = 0
        try:
            self.wfile.write(answer.head(self._connection_headers()) + b"1\r\n[\r\n")
            while sent < OVERSIZE_BYTES and not self.server.stopping.is_set():
                self.wfile.write(chunk)
                sent += len(_CHUNK)
            self.wfile.write(b"1\r\n]\r\n0\r\n\r\n")
        finally:
            self.server.log.correct(recorded, sent)

    def _drip(self, request: Request, status: int, head: bytes, body: bytes, pause: float) -> None:
        recorded = replace(request, status=status)
        self.server.log.add(recorded)
        sent = 0
        try:
            self.wfile.write(head)
            sent = len(head)
            for byte in body:
                if self.server.stopping.wait(pause):
                    self.close_connection = True
                    return
                self.wfile.write(bytes((byte,)))
                sent += 1
        finally:
            self.server.log.correct(recorded, sent)


def _chunked(answer: Answer) -> tuple[tuple[str, str], ...]:
    kept = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
    return (*kept, ("Transfer-Encoding", "chunked"))


_SILENT = frozenset({FaultKind.HANG, FaultKind.RESET})
