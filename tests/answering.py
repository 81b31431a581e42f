"""A server whose metrics are one answer, for what is about connections and not about pages.

The tests of it notice, too, if a release of uvicorn changes what exporter/server/connection.py relies on.
"""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Gauge

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture
from exporter.server.gate import OpenGate
from exporter.server.http_server import HttpServer, create_server
from exporter.server.listen import TcpAddress
from exporter.server.seats import Limits
from exporter.web.app import Site, create_app
from tests.idle import Idle
from tests.pki import Authority

ANYWHERE = TcpAddress("127.0.0.1", 0)
HEALTHY, READY = b"Healthy.\n", b"Ready.\n"
PUT = "PUT /api/v1/qencode/vod/tokens/t HTTP/1.1\r\nHost: x\r\n"


class TlsGate(OpenGate):
    """Lets everybody in, over TLS."""

    def __init__(self, authority: Authority) -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(*authority.issue("server", "127.0.0.1"))


@contextmanager
def serving(
    refresh: Callable[[float], None] = lambda _: None,
    *,
    limits: Limits | None = None,
    gate: OpenGate | None = None,
    reload: Callable[[], Sequence[str]] | None = None,
    size: int = 0,
) -> Iterator[HttpServer]:
    """A server whose metrics are one answer, with a help of so many bytes."""
    registry = CollectorRegistry()
    Gauge("answer", "T" + "h" * size + "e answer.", registry=registry).set(42)
    site = Site(Exposition(lambda: Picture(()), registry).render, refresh, Idle(), reload=reload)
    server = create_server(create_app(site), ANYWHERE, limits=limits, gate=gate)
    server.start()
    try:
        yield server
    finally:
        assert server.leave(10)
