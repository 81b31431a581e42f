"""Where the pages are, seen from the exporter and seen from outside: behind a proxy these are two things."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH: Final = re.compile(r"/?([\w.~-]+/)*[\w.~-]*", re.ASCII)


class InvalidLocationError(ValueError):
    """A URL or a prefix that can't be used."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the pages are.

    Attributes:
        prefix: What a request's path begins with; empty, or like `/transcoding`.
        path: What a link's path begins with; empty, or like `/transcoding`.
        origin: What comes before it, like `https://example.com`; None if that was not told.
    """

    prefix: str = ""
    path: str = ""
    origin: str | None = None

    @property
    def url(self) -> str | None:
        """The URL under which people find us, without a slash at its end; None if it was not told."""
        return None if self.origin is None else f"{self.origin}{self.path}"


def locate(external_url: str | None = None, route_prefix: str | None = None) -> Location:
    """Read `--web.external-url` and `--web.route-prefix`; they mean what they mean to Prometheus.

    Raises:
        InvalidLocationError: one of them makes no sense.

    >>> locate("https://example.com/transcoding/")
    Location(prefix='/transcoding', path='/transcoding', origin='https://example.com')
    >>> locate("https://example.com/transcoding", "/").prefix
    ''
    """
    origin, path = _external(external_url) if external_url else (None, "")
    return Location(path if route_prefix is None else _prefix(route_prefix), path, origin)


def _external(url: str) -> tuple[str | None, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidLocationError(f"{url!r} is not a URL: {error}") from None
    if parts.query or parts.fragment or parts.username is not None:
        raise InvalidLocationError(f"{url!r} can't hold a user, a question mark or a fragment")
    if url.startswith("/") and not parts.netloc:
        return None, _prefix(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise InvalidLocationError(f"{url!r} is not a URL like https://example.com/transcoding")
    return f"{parts.scheme}://{parts.netloc}", _prefix(parts.path)


def _prefix(text: str) -> str:
    if not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise InvalidLocationError(f"{text!r} is not a path like /transcoding")
    bare = text.strip("/")
    return f"/{bare}" if bare else ""


ROOT: Final = Location()
"""Where all is as it looks: under the root, and without a proxy."""


class Mounted:
    """A WSGI application under a prefix; what it links to begins with the path that is seen from outside."""

    def __init__(self, app: "WSGIApplication", location: Location) -> None:
        self._app = app
        self._location = location

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        prefix, path = self._location.prefix, environ["PATH_INFO"]
        if path != prefix and not path.startswith(f"{prefix}/"):
            return _elsewhere(prefix, environ)(environ, start_response)
        environ["SCRIPT_NAME"] = self._location.path
        environ["PATH_INFO"] = path[len(prefix) :] or "/"
        return self._app(environ, start_response)


def _elsewhere(prefix: str, environ: "WSGIEnvironment") -> "WSGIApplication":
    from werkzeug.exceptions import MethodNotAllowed, NotFound
    from werkzeug.utils import redirect

    if environ["PATH_INFO"] != "/":
        return NotFound()
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return MethodNotAllowed(["GET", "HEAD"])
    return redirect(f"{prefix}/")
