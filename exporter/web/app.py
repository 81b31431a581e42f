"""The pages: metrics, health, and a landing page that leads to them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flask import Flask, Response, render_template, request
from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.model import Account
from exporter.web.negotiation import exposition

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
        scrape_timeout_offset: Seconds that rendering and the way back may take.
    """

    registry: CollectorRegistry
    refresh: Callable[[float], None]
    accounts: tuple[Account, ...]
    telemetry_path: str = "/metrics"
    scrape_timeout_offset: float = SCRAPE_TIMEOUT_OFFSET


def create_app(site: Site) -> Flask:
    """Return the WSGI application."""
    app = Flask(__name__)

    @app.get(site.telemetry_path)
    def metrics() -> Response:
        timeout = scrape_timeout(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds"))
        site.refresh(max(0.0, timeout - site.scrape_timeout_offset))
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
