"""A request as WSGI knows it, and the answer that an application gives to it."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

Scope = Mapping[str, Any]
"""What ASGI tells of a request."""

MAX_BODY: Final = 64 * 1024
"""Bytes of a request's body."""

_SLASH: Final = re.compile("%2f", re.IGNORECASE)
_ABSOLUTE: Final = re.compile("https?://[^/]*", re.IGNORECASE)
_BARE: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        status: The HTTP status.
        headers: Names and values.
        body: All of it, in parts.
        last: Whether the connection ends with it.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: Sequence[bytes]
    last: bool = False

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.body))


def environment(scope: Scope, body: bytes) -> "WSGIEnvironment":
    """Return the environment of a request whose body is here."""
    server, port = scope["server"] or ("localhost", None)
    target = _target(scope)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path(scope),
        "QUERY_STRING": scope["query_string"].decode("ascii"),
        # What was sent; in the path above, it can't be told any more.
        "REQUEST_URI": target,
        "SERVER_NAME": server if port else "localhost",
        "SERVER_PORT": str(port or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, values in headers(scope).items():
        environ[_BARE.get(name) or f"HTTP_{name.upper().replace('-', '_')}"] = values
    # However the body came, it is all here.
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def headers(scope: Scope) -> Mapping[str, str]:
    """Return the headers by their names in lower case; what came twice is one, with a comma.

    A name with an underscore is left out: WSGI could not tell it from one with a hyphen, which a proxy may
    have removed.
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" not in name:
            found[name] = f"{found[name]},{value}" if name in found else value
    return found


def path(scope: Scope) -> str:
    """Return the path as WSGI wants it; an encoded slash stays encoded, lest it look like a separator."""
    segments = (unquote_to_bytes(part) for part in _SLASH.split(_target(scope)))
    return b"%2F".join(segments).decode("latin-1")


def _target(scope: Scope) -> str:
    target: str = scope["raw_path"].decode("ascii")
    # To a proxy, a client names the whole URL, and it may do so to us.
    return target if target.startswith("/") else _ABSOLUTE.sub("", target, count=1) or "/"


def call(app: "WSGIApplication", environ: "WSGIEnvironment") -> Answer:
    """Let an application answer."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    chunks: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None, /) -> Any:
        begun[:] = [(status, headers)]
        return chunks.append

    body: Iterable[bytes] = app(environ, start_response)
    try:
        chunks.extend(body)
    finally:
        if close := getattr(body, "close", None):
            close()
    ((status, found),) = begun
    return Answer(int(status.split(" ", 1)[0]), found, chunks)
