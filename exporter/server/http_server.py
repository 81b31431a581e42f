"""The HTTP server: an event loop in a thread of its own, in front of the application."""

import asyncio
import contextlib
import errno
import logging
import resource
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from flask import Flask
from uvicorn.config import Config

from exporter.server import systemd
from exporter.server.bridge import Bridge
from exporter.server.connection import House
from exporter.server.gate import Gate, OpenGate
from exporter.server.handshakes import Handshakes
from exporter.server.listen import BACKLOG, Address, Listener, listen
from exporter.server.location import ROOT, Location
from exporter.server.seats import Limits, Seats

_MAX_HEAD: Final = 48 * 1024
"""Bytes of a request's head before we stop reading; with what comes in the same read, at most 64 KiB."""

_FILES: Final = 65_536
"""Open files that we ask the system for."""

_TURN: Final = 0.001
"""Seconds that a thread may compute while the loop waits for its turn. By default it is 5 ms, which add up:
the loop loses its turn with each piece that it reads or writes."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = structlog.get_logger()


class HttpServer:
    """Serves in the background, from `start` until `leave` has ended the last connection.

    Attributes:
        urls: Where it is reached, each like `http://localhost:10477` or `unix:/run/exporter.sock`.
    """

    def __init__(self, bridge: Bridge, listeners: Sequence[Listener], gate: Gate, limits: Limits) -> None:
        self._bridge = bridge
        self._listeners = listeners
        self._gate = gate
        self._limits = limits
        self._loop = asyncio.new_event_loop()
        self._leaving = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        scheme = "http" if gate.tls is None else "https"
        self.urls = [
            each.reachable if each.reachable.startswith("unix:") else f"{scheme}://{each.reachable}"
            for each in listeners
        ]

    def start(self) -> None:
        """Serve."""
        _raise_limit_of_files()
        sys.setswitchinterval(_TURN)
        self._thread.start()

    def leave(self, seconds: float) -> bool:
        """Listen no more, and end the connections: without a request at once, with one after its answer.

        Returns whether all have ended within so many seconds; if not, they go on, and one can ask again.
        """
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop.set_exception_handler(_tell_trouble)
        config = Config(
            self._bridge,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            workers=1,
            timeout_keep_alive=self._limits.idle,  # type: ignore[arg-type] # it says int, and takes any number
            h11_max_incomplete_event_size=_MAX_HEAD,
        )
        config.load()
        house = House(config, Seats(self._limits, self._loop), self._gate, Handshakes(self._loop))
        doors = [
            await self._loop.create_server(house.connect, sock=each.socket, backlog=BACKLOG)
            for each in self._listeners
        ]
        beating = asyncio.ensure_future(_beat())
        await self._leaving.wait()
        for listener, door in zip(self._listeners, doors, strict=True):
            listener.withdraw()
            door.close()
        while not house.leave():
            await asyncio.sleep(0.02)
        beating.cancel()
        self._bridge.close()


def create_server(
    app: Flask,
    *addresses: Address,
    gate: Gate | None = None,
    limits: Limits | None = None,
    location: Location = ROOT,
) -> HttpServer:
    """Return a server that is bound to the addresses and ready to `start()`.

    Raises:
        ListenError: one of them can't be listened on.
    """
    gate, limits, prefix = gate or OpenGate(), limits or Limits(), location.prefix
    health = (f"{prefix}/-/healthy", f"{prefix}/-/ready")
    bridge = Bridge(app, gate, health=health, api=f"{prefix}/api/", limits=limits)
    _relay_logs()
    return HttpServer(bridge, listen(addresses), gate, limits)


async def _beat() -> None:
    """Tell systemd that the loop lives, twice as often as it wants to know."""
    if seconds := systemd.watchdog():
        while True:
            systemd.notify("WATCHDOG=1")
            await asyncio.sleep(seconds / 2)


def _raise_limit_of_files() -> None:
    """Open as many connections as the system lets us: by default, it would be few more than we take in."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))


class _Relay(logging.Handler):
    """Hands on what libraries log; what a client does wrong, they call a warning."""

    def emit(self, record: logging.LogRecord) -> None:
        write = _log.error if record.levelno >= logging.ERROR else _log.debug
        write("server: " + record.getMessage().strip(), exc_info=record.exc_info)


def _relay_logs() -> None:
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        logger.handlers = [_Relay()]


def _tell_trouble(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno not in _EXHAUSTED:
        # A connection broke.
        _log.debug(f"server: {context['message']}", error=str(error))
    else:
        _log.error(f"server: {context['message']}", exc_info=error)
