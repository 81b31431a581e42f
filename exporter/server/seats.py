"""Who sits at our table: connections, of which there are only so many, and for whom we wait only so long."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long we wait for the other side, in seconds, for how many of them, and with how much in hand.

    Attributes:
        handshake: For a TLS handshake.
        head: For the rest of a request's head, once the connection stands or the head has begun.
        body: For the whole of a request's body.
        idle: For the next request. More than a minute, so that with `scrape_interval: 1m`, the default, each
            scrape finds its connection still open.
        write: For the other side to take any of what we send.
        connections: At once. One more ends the one that has waited longest for a request: to a scraper that
            is between two scrapes, this costs no more than a new connection, and whoever opens connections to
            occupy them can't lock others out. If all of them wait for answers, the new one is refused.
        unsent: Bytes of answers that wait to be taken; beyond them, the oldest one is given up.
    """

    handshake: float = 5.0
    head: float = 10.0
    body: float = 10.0
    idle: float = 75.0
    write: float = 30.0
    connections: int = 1000
    unsent: int = 128 * 1024 * 1024


class Seat:
    """The place that a connection takes, from when it is accepted until it is lost.

    Attributes:
        loop: Where it lives.
        waiting_since: When it began to wait for a request or a handshake; None while it waits for an answer.
        left: Done once the connection is lost.
    """

    def __init__(self, seats: "Seats") -> None:
        self._seats = seats
        self.loop = seats.loop
        self._transport: asyncio.Transport | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = self.loop.time()
        self.left: asyncio.Future[None] = self.loop.create_future()

    def take(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the connection stands."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - nothing else has a socket
        self._transport = transport
        # Whatever the system does not take at once makes `stuck` be called, and nothing more is written.
        transport.set_write_buffer_limits(high=0)
        self._seats.add(self)

    def leave(self) -> None:
        """End: the connection is lost."""
        self.left.set_result(None)
        self.unstuck()
        self._seats.remove(self)

    def end(self) -> None:
        """End the connection at once, whatever is under way."""
        self._seats.remove(self)
        if self._transport:
            self._transport.abort()

    @property
    def flushed(self) -> bool:
        """Whether the system has taken all that was to be sent."""
        return self._transport is None or self._transport.get_write_buffer_size() == 0

    def stuck(self) -> None:
        """Notice that the other side does not take what we send."""
        self.unstuck()
        self._stuck = self.loop.call_later(self._seats.limits.write, self.end)

    def unstuck(self) -> None:
        """Notice that it has taken it."""
        if self._stuck:
            self._stuck.cancel()
            self._stuck = None


class Seats:
    """All connections; there are only so many seats."""

    def __init__(self, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = limits
        self.loop = loop
        self._taken: set[Seat] = set()

    def add(self, seat: Seat) -> None:
        """Seat a connection; the one that has waited longest leaves if there is no seat."""
        self._taken.add(seat)
        if len(self._taken) > self.limits.connections:
            waiting = (each for each in self._taken if each is not seat and each.waiting_since is not None)
            min(waiting, key=lambda each: each.waiting_since or 0.0, default=seat).end()

    def remove(self, seat: Seat) -> None:
        """Free a seat."""
        self._taken.discard(seat)

    def end(self) -> None:
        """End all connections at once."""
        for seat in tuple(self._taken):
            seat.end()
