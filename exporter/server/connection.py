"""One connection: uvicorn's HTTP/1.1, with a deadline for whatever the other side has to do.

What is relied on of uvicorn, beside what its documentation promises: that `H11Protocol` takes these
arguments, keeps h11's state machine in `conn`, calls `on_response_complete` after each answer and
`send_400_response` for what is no HTTP, and that `shutdown` ends the connection after the answer that is
under way. And of asyncio's `SSLProtocol`: that it calls `_on_handshake_complete` after a handshake, and that
`_process_outgoing` writes what OpenSSL has to say. tests/integration/test_server_*.py notice if a release
changes that.
"""

import asyncio
import contextlib
import ssl
from asyncio.sslproto import SSLProtocol
from dataclasses import dataclass, field
from typing import Final

import h11
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from exporter.server.gate import Gate, with_ours
from exporter.server.handshakes import Handshakes
from exporter.server.listen import TcpAddress
from exporter.server.seats import Seat, Seats

_READ: Final = 16 * 1024
"""Bytes read at once: a record of TLS. What is kept for a connection that only talks is a multiple of it."""

_MOST_AHEAD: Final = 64 * 1024
"""Bytes of further requests that may come before a request is answered."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class House:
    """What all connections share.

    Attributes:
        config: Uvicorn's.
        seats: The connections.
        gate: Who may connect.
        handshakes: Tells of those that fail.
        state: Uvicorn's lists of connections and of answers under way.
        buffer: Where what comes is read to, one connection at a time.
    """

    config: Config
    seats: Seats
    gate: Gate
    handshakes: Handshakes
    state: ServerState = field(default_factory=ServerState)
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_READ)))

    def connect(self) -> asyncio.BaseProtocol:
        """Return what speaks on a new connection."""
        seat = Seat(self.seats)
        if self.gate.tls is None:
            return _Plain(self, seat)
        return _Encrypted(self.gate.tls, _Connection(self, seat), seat, self)

    def leave(self) -> bool:
        """End what can be ended by now; return whether all connections have ended."""
        for connection in list(self.state.connections):
            assert isinstance(connection, _Connection)  # noqa: S101 - we made them all
            connection.leave()
        if self.state.connections or self.state.tasks:
            return False
        # Handshakes, under way or refused.
        self.seats.end()
        return True


class _Connection(H11Protocol, asyncio.BufferedProtocol):
    """HTTP/1.1, whose requests must come in time."""

    def __init__(self, house: House, seat: Seat) -> None:
        # To the application, the seat is part of a request's state.
        super().__init__(house.config, house.state, {"seat": seat}, house.seats.loop)
        self.seat = seat
        self._house = house
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - nothing else has a socket
        super().connection_made(transport)
        # One byte, because nothing at all is more than nothing to the transport of TLS.
        transport.set_write_buffer_limits(high=1, low=0)
        encrypted = transport.get_extra_info("ssl_object")
        if encrypted and not self._house.gate.admits(encrypted.getpeercert()):
            _log.debug("client certificate refused", client=str(self.client))
            self.seat.end()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        # Uvicorn cancels it only if nothing went wrong.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._house.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._house.buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        else:
            self._head_came()
            self.seat.waiting_since = None
        if self._ahead > _MOST_AHEAD:
            # Uvicorn reads on for each request that it answers, however short that one was.
            self.seat.end()

    def on_response_complete(self) -> None:
        # Before the next request, which may be there already.
        self.seat.waiting_since = self.loop.time()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.conn.their_state is not h11.IDLE:
            self.seat.waiting_since = None
        elif self._ahead:
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        # In the middle of an answer there is no room for another one.
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
            answer = (
                h11.Response(status_code=400, headers=with_ours(head, self._house.gate.headers)),
                h11.Data(data=f"{msg}\n".encode()),
                h11.EndOfMessage(),
            )
            self.transport.write(b"".join(self.conn.send(part) or b"" for part in answer))
        self.transport.close()

    @property
    def _ahead(self) -> int:
        """Bytes that have come and were not looked at yet."""
        return len(self.conn.trailing_data[0])

    def leave(self) -> None:
        """End, or begin to: after the answer under way, if there is one."""
        if self.transport.is_closing():
            # Nobody waits for the other side's farewell, which belongs to TLS.
            if self.seat.flushed:
                self.seat.end()
            return
        try:
            self.shutdown()
        except h11.LocalProtocolError:
            # It was in no state to be ended in order.
            self.seat.end()

    def _await_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(self._house.seats.limits.head, self.seat.end)

    def _head_came(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None


class _Seated(asyncio.BaseProtocol):
    """What is outermost takes the seat, and knows what is stuck."""

    seat: Seat

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.seat.take(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.seat.leave()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self.seat.stuck()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.seat.unstuck()
        super().resume_writing()


class _Plain(_Seated, _Connection):
    """HTTP on a socket of its own."""


class _Encrypted(_Seated, SSLProtocol):
    """TLS between the socket and HTTP.

    It stands in for `create_server(ssl=...)`, which gives each connection a buffer of 256 KiB from its first
    byte on, tells nobody of it before the handshake is over, and hangs up without a word if that fails.
    """

    max_size = _READ

    def __init__(self, tls: ssl.SSLContext, inner: _Connection, seat: Seat, house: House) -> None:
        self.seat = seat
        self._house = house
        self._client = ""
        self._handshake_over = False
        limits = house.seats.limits
        super().__init__(
            seat.loop,
            inner,
            tls,
            None,  # type: ignore[arg-type] # nobody waits for the handshake
            server_side=True,
            ssl_handshake_timeout=limits.handshake,  # type: ignore[arg-type] # any number will do
            # Until then, what is left of an answer has to be taken.
            ssl_shutdown_timeout=limits.write,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        match transport.get_extra_info("peername"):
            case (str(host), int(port), *_):
                self._client = str(TcpAddress(host, port))
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[override] # as in `_Seated`
        if not self._handshake_over:
            _log.debug("connection ended in its TLS handshake", client=self._client)
        super().connection_lost(exc)

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        # Who left has failed in nothing, and reads nothing any more.
        self._handshake_over = handshake_exc is None or isinstance(handshake_exc, ssl.SSLError)
        if isinstance(handshake_exc, ssl.SSLError):
            self._house.handshakes.failed(self._client, handshake_exc)
            self._refuse()
        else:
            super()._on_handshake_complete(handshake_exc)

    def _refuse(self) -> None:
        """Send the alert that says why, and wait until the other side has left, or until the deadline."""
        transport = self._transport
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - nothing else has a socket
        self._process_outgoing()  # type: ignore[attr-defined] # it is left out of the library's types
        transport.set_protocol(_Farewell(self, self._house))
        with contextlib.suppress(OSError):
            transport.write_eof()


class _Farewell(asyncio.BufferedProtocol):
    """Forgets what still comes on a connection: if it were left unread, our last words would be lost."""

    def __init__(self, before: _Encrypted, house: House) -> None:
        self._before = before
        self._house = house

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._house.buffer

    def buffer_updated(self, nbytes: int) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)
