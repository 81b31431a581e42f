"""The application: metrics, health, what people read, and what programs ask."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from exporter.server.location import ROOT, Location, Mounted
from exporter.server.wsgi import MAX_BODY
from exporter.web.admin import GivenTokens, Reload, json_answer, lifecycle, token_api
from exporter.web.api import json_api
from exporter.web.freshness import FreshBoard, Reporter
from exporter.web.negotiation import WORTH_PACKING, Metrics, exposition, packed
from exporter.web.origin import SAFE, foreign
from exporter.web.pages import pages
from exporter.web.scrapes import Scrapes

_log = structlog.get_logger()

DEFAULT_SCRAPE_TIMEOUT: Final = 10.0
"""Seconds; Prometheus' own default, for a client that does not tell its time-out."""

SCRAPE_TIMEOUT_OFFSET: Final = 0.5
"""Seconds of a scrape's time-out that are left for rendering and for the way back."""

_LONGEST_SCRAPE: Final = 3600.0

# Of its own, not one of the other pages'. Plain: Flask reads <this> as a variable.
_TELEMETRY_PATH: Final = re.compile(r"(?!/(-|api|runbooks|static)(/|$))/([\w.~-]+/)*[\w.~-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Site:
    """What the pages need.

    Attributes:
        metrics: Returns the metrics as an Accept header asks for them: their media type, and piece by piece.
        refresh: Brings them up to date within so many seconds.
        reporter: Tells what the pages and the JSON API show.
        telemetry_path: Where the metrics are.
        grafana_url: Where the dashboards are; empty if that is not known.
        reload: Reads the configuration anew; None if that is not allowed over HTTP.
        tokens: The tokens that are given over HTTP; None if that is not allowed.
        scrape_timeout_offset: Seconds that rendering and the way back may take.
        location: Under which path it all is.
    """

    metrics: Metrics
    refresh: Callable[[float], None]
    reporter: Reporter
    telemetry_path: str = "/metrics"
    grafana_url: str = ""
    reload: Reload | None = None
    tokens: GivenTokens | None = None
    scrape_timeout_offset: float = SCRAPE_TIMEOUT_OFFSET
    location: Location = ROOT


def create_app(site: Site) -> Flask:
    """Return the WSGI application."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    # No redirects of its own: they would lead to whatever the Host header says.
    app.url_map.merge_slashes = False
    if site.location != ROOT:
        app.wsgi_app = Mounted(app.wsgi_app, site.location)  # type: ignore[method-assign]
    app.register_blueprint(lifecycle(site.reload))
    app.register_blueprint(token_api(site.tokens))
    _handle_errors(app)
    app.before_request(_own_pages_only(site.location))
    app.after_request(_pack)

    scrapes = Scrapes(site.scrape_timeout_offset)
    board = FreshBoard(site.reporter, scrapes)
    app.register_blueprint(json_api(site.reporter, board))
    path = "/status" if site.telemetry_path == "/" else "/"
    app.register_blueprint(pages(board, site.reporter.now, path, site.grafana_url))

    @app.get(site.telemetry_path)
    def metrics() -> Response:
        timeout = scrape_timeout(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds"))
        with scrapes.waiting(timeout) as seconds:
            site.refresh(seconds)
        with scrapes.rendering():
            return exposition(request, site.metrics)

    @app.get("/-/healthy")
    def healthy() -> Response:
        return Response("Healthy.\n", mimetype="text/plain")

    @app.get("/-/ready")
    def ready() -> Response:
        return Response("Ready.\n", mimetype="text/plain")

    return app


def _own_pages_only(location: Location) -> Callable[[], Response | None]:
    def refuse() -> Response | None:
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        host = request.headers.get("Host", "")
        if request.method in SAFE or not foreign(site, origin, host, location.origin):
            return None
        words = "a page of another site may not do this; leave the headers Origin and Sec-Fetch-Site out"
        if request.path.startswith("/api/"):
            return json_answer(403, {"error": words})
        return Response(f"{words}\n", status=403, mimetype="text/plain")

    return refuse


def _pack(response: Response) -> Response:
    # What has no length yet is made while it is sent.
    if (response.content_length or 0) < WORTH_PACKING:
        return response
    return packed(request, response)


def _handle_errors(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response | HTTPException:
        if error.code is None or not request.path.startswith("/api/"):
            return error
        answer = json_answer(error.code, {"error": _words(error)})
        # What the error says beside its words, like the methods that are allowed.
        answer.headers.extend((name, text) for name, text in error.get_headers() if name == "Allow")
        return answer

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        # Flask itself would log the path, and there a token can stand.
        _log.error("request ended by a bug, please report it", page=request.endpoint, exc_info=error)
        return json_answer(500, {"error": "a bug; the log says more"})


def _words(error: HTTPException) -> str | None:
    """Return what is wrong with a request to the API, and what to write."""
    match error:
        case NotFound():
            return f"there is nothing here; {request.script_root}/api/v1/openapi.json tells what there is"
        case MethodNotAllowed(valid_methods=methods):
            return f"this method is not allowed here; use {' or '.join(sorted(methods or ()))}"
    return error.description


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
