"""How we ask over HTTP: a session that can't be led astray, and reads that end in time whatever answers."""

import contextlib
import os
import socket
import threading
import time
from contextvars import ContextVar
from http import cookiejar
from typing import Any, Final, Self

import requests
import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from exporter import __version__

_CHUNK: Final = 64 * 1024


class TooLargeError(Exception):
    """An answer larger than the caller can use."""


def create_session(api_key: str, connections: int) -> requests.Session:
    """Return a session that sends the key (if any) as a bearer token, and no other credential or cookie."""
    session = _Session()
    adapter = _Adapter(pool_connections=connections, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.headers.update({"User-Agent": f"transcoding-exporter/{__version__}", "Accept-Encoding": "gzip"})
    session.cookies.set_policy(cookiejar.DefaultCookiePolicy(allowed_domains=[]))

    def authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if api_key:
            request.headers["Authorization"] = f"Bearer {api_key}"
        return request

    # Set even without a key: requests would otherwise take credentials from a .netrc file.
    session.auth = authenticate
    return session


def read_body(raw: urllib3.BaseHTTPResponse, most: int) -> bytes:
    """Read and decompress a body.

    Args:
        raw: The response.
        most: Bytes that the body may have, decompressed.

    Raises:
        TooLargeError: it has more.
        urllib3.exceptions.HTTPError: the connection broke, or the body can't be decompressed.
    """
    body = bytearray()
    while chunk := raw.read1(_CHUNK, decode_content=True):
        body += chunk
        if len(body) > most:
            raise TooLargeError
    return bytes(body)


class Deadline:
    """Cuts off what this thread asks of a server once the time is up, whatever the server does.

    A time-out of a socket can't do that: it starts anew with each byte, and a server may drip them, in the
    headers or in a body that decompresses to nothing.

    Example:
        with Deadline(10.0) as deadline:
            response = session.get(url, stream=True)
            body = read_body(response.raw, 1024)
        if deadline.passed: ...
    """

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._at

    def __enter__(self) -> Self:
        self._token = _deadline.set(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _deadline.reset(self._token)
        self._hold(None)

    def watch(self, connection: socket.socket) -> None:
        """Cut off this connection too when the time is up, or now if it is."""
        # A descriptor of our own: urllib3 and TLS hand theirs on, close it, or use it at the same time.
        self._hold(socket.socket(fileno=os.dup(connection.fileno())))
        if self.passed:
            self._cut()

    def _hold(self, connection: socket.socket | None) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = connection

    def _cut(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)


_deadline: Final[ContextVar[Deadline | None]] = ContextVar("deadline", default=None)


class _HTTPConnection(HTTPConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        # Connecting, the TLS handshake included, has a time-out that holds for all of it.
        if deadline := _deadline.get():
            deadline.watch(self.sock)
        return super().getresponse()


class _HTTPSConnection(_HTTPConnection, HTTPSConnection):
    pass


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Tell that there is none: requests would read the whole body, however large, to get there."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
