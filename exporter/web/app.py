"""The pages: metrics, health, and a landing page that leads to them."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from cheroot.errors import MaxSizeExceeded
from flask import Flask, Response, abort, render_template, request
from prometheus_client import CollectorRegistry
from werkzeug.exceptions import HTTPException

from exporter import __version__
from exporter.model import Account
from exporter.web.admin import MAX_BODY, GivenTokens, Reload, json_answer, lifecycle, token_api
from exporter.web.negotiation import exposition
from exporter.web.scrapes import Scrapes

_log = structlog.get_logger()

DEFAULT_SCRAPE_TIMEOUT: Final = 10.0
"""Seconds; Prometheus' own default, for a client that does not tell its time-out."""

SCRAPE_TIMEOUT_OFFSET: Final = 0.5
"""Seconds of a scrape's time-out that are left for rendering and for the way back."""

_LONGEST_SCRAPE: Final = 3600.0

# Of its own: what starts with /-/ is the exporter's. Plain: Flask reads <this> as a variable.
_TELEMETRY_PATH: Final = re.compile(r"(?!/-(/|$))/([\w.~-]+/)*[\w.~-]*", re.ASCII)

_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Site:
    """What the pages need.

    Attributes:
        registry: The metrics.
        refresh: Brings them up to date within so many seconds.
        accounts: What is watched, for the landing page.
        telemetry_path: Where the metrics are.
        reload: Reads the configuration anew; None if that is not allowed over HTTP.
        tokens: The tokens that are given over HTTP; None if that is not allowed.
        scrape_timeout_offset: Seconds that rendering and the way back may take.
    """

    registry: CollectorRegistry
    refresh: Callable[[float], None]
    accounts: Callable[[], Sequence[Account]]
    telemetry_path: str = "/metrics"
    reload: Reload | None = None
    tokens: GivenTokens | None = None
    scrape_timeout_offset: float = SCRAPE_TIMEOUT_OFFSET


def create_app(site: Site) -> Flask:
    """Return the WSGI application."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.register_blueprint(lifecycle(site.reload))
    app.register_blueprint(token_api(site.tokens))
    _handle_errors(app)
    app.before_request(_take_chunks)

    scrapes = Scrapes(site.scrape_timeout_offset)

    @app.get(site.telemetry_path)
    def metrics() -> Response:
        timeout = scrape_timeout(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds"))
        with scrapes.waiting(timeout) as seconds:
            site.refresh(seconds)
        with scrapes.rendering():
            return exposition(request, site.registry)

    @app.get("/-/healthy")
    def healthy() -> Response:
        return Response("Healthy.\n", mimetype="text/plain")

    @app.get("/-/ready")
    def ready() -> Response:
        return Response("Ready.\n", mimetype="text/plain")

    if site.telemetry_path != "/":

        @app.get("/")
        def landing() -> Response:
            page = render_template("landing.html", site=site, version=__version__)
            return Response(page, headers=_PAGE_HEADERS)

    return app


def _take_chunks() -> None:
    """Read a body that comes in chunks, with a length that nobody has told.

    The server leaves what is not read on the connection, where it would be taken for the next request.
    """
    if not request.environ.get("wsgi.input_terminated"):
        return
    try:
        body = request.environ["wsgi.input"].read(MAX_BODY + 1)
    except (OSError, MaxSizeExceeded):
        abort(413)
    except ValueError:
        # Where it ends can't be told: after this status, the server closes the connection.
        abort(413, "the chunks of the body can't be read")
    if len(body) > MAX_BODY:
        abort(413)
    request.environ["wsgi.input"] = io.BytesIO(body)


def _handle_errors(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response | HTTPException:
        if error.code is None or not request.path.startswith("/api/"):
            return error
        answer = json_answer(error.code, {"error": error.description})
        # What the error says beside its words, like the methods that are allowed.
        answer.headers.extend((name, text) for name, text in error.get_headers() if name == "Allow")
        return answer

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        # Flask itself would log the path, and there a token can stand.
        _log.error("request ended by a bug, please report it", page=request.endpoint, exc_info=error)
        return json_answer(500, {"error": "a bug; the log says more"})


def scrape_timeout(header: str | None) -> float:
    """Read `X-Prometheus-Scrape-Timeout-Seconds`; a header that makes no sense counts as none.

    >>> scrape_timeout("2.5")
    2.5
    """
    try:
        seconds = float(header or "")
    except ValueError:
        return DEFAULT_SCRAPE_TIMEOUT
    return seconds if 0 < seconds <= _LONGEST_SCRAPE else DEFAULT_SCRAPE_TIMEOUT


def is_telemetry_path(path: str) -> bool:
    """Whether the metrics can be under this path.

    >>> is_telemetry_path("/metrics"), is_telemetry_path("metrics"), is_telemetry_path("/-/healthy")
    (True, False, False)
    """
    return _TELEMETRY_PATH.fullmatch(path) is not None
