from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.assembly import Exporter
from exporter.server.gate import OpenGate
from exporter.server.http_server import HttpServer
from exporter.simulator import Simulator
from tests.answering import TlsGate
from tests.livepeer_support import POLL
from tests.pki import Authority
from tests.support import DrivenClock, exporting, livepeer_config
from tests.talking import Talk
from tests.watched import World, standing_still, watching


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world that no test may change."""
    with standing_still(tmp_path_factory.mktemp("still")) as world:
        yield world


@pytest.fixture
def world(tmp_path: Path, simulator: Simulator) -> Iterator[World]:
    """A world of one test alone."""
    with watching(tmp_path, simulator) as world:
        yield world


@pytest.fixture
def exporter(simulator: Simulator, clock: DrivenClock) -> Iterator[Exporter]:
    """Of Livepeer's account, it watches everything, shows it for long, and has not asked yet."""
    with exporting(clock, livepeer_config(simulator, lookback=0), poll=POLL) as exporter:
        yield exporter


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=["plain", "tls"])
def encrypted(request: pytest.FixtureRequest) -> bool:
    """Whether a server of `gate` speaks TLS: once it does not, once it does."""
    return str(request.param) == "tls"


@pytest.fixture
def gate(encrypted: bool, authority: Authority) -> OpenGate:
    return TlsGate(authority) if encrypted else OpenGate()


@pytest.fixture
def connect(encrypted: bool, authority: Authority) -> Callable[[HttpServer], Talk]:
    """Connects to a server of `gate`."""

    def to(server: HttpServer) -> Talk:
        plain = Talk.to(server.urls[0])
        if not encrypted:
            return plain
        return Talk(authority.trusted().wrap_socket(plain.socket, server_hostname="127.0.0.1"))

    return to
