"""An exporter in this process in front of the simulator, for the commands to ask over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from structlog.testing import capture_logs

from exporter.assembly import Exporter
from exporter.config import load
from exporter.reporter import Reporter
from exporter.server.http_server import HttpServer, create_server
from exporter.server.listen import TcpAddress
from exporter.simulator import SimulatedClock, Simulator
from exporter.startup import stored
from exporter.web.app import Site, create_app
from tests.served import livepeer, qencode, write
from tests.support import START

QUICK = ("--interval", "100ms")
STALLED_AFTER = 601


class World:
    """An exporter, and what it watches: a job of Qencode's and a task of Livepeer's.

    Attributes:
        simulator: The services.
        token: Of the job, which is encoding at 25 %.
        upload: The task, which runs at 40 %.
        config: The exporter's configuration, for a command that asks the services itself.
    """

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.simulator = simulator
        self.token = simulator.qencode.add("encoding", percent=25.0)
        self.upload = simulator.livepeer.account.add("upload")
        simulator.livepeer.account.progress(self.upload, 0.4)
        self.config = write(folder / "config.yml", qencode(simulator, self.token), livepeer(simulator))
        self._exporter = Exporter(stored(load(self.config, {}), ""))
        self._server = self._serve(0)
        self.url = self._server.urls[0]

    @property
    def asked(self) -> tuple[str, ...]:
        """The option that names it."""
        return ("--url", self.url)

    def stop(self) -> None:
        """Serve no more."""
        assert self._server.leave(10)

    def start(self) -> None:
        """Serve again, at the same URL."""
        self._server = self._serve(int(self.url.rpartition(":")[2]))

    def close(self) -> None:
        self.stop()
        self._exporter.close()

    def _serve(self, port: int) -> HttpServer:
        exporter = self._exporter
        site = Site(exporter.exposition.render, exporter.refresh, Reporter(exporter))
        server = create_server(create_app(site), TcpAddress("127.0.0.1", port))
        server.start()
        return server


@contextmanager
def watching(folder: Path, simulator: Simulator) -> Iterator[World]:
    """A world that a test may change."""
    # What the exporter logs would stand among what a command writes.
    with capture_logs():
        world = World(folder, simulator)
        try:
            yield world
        finally:
            world.close()


@contextmanager
def standing_still(folder: Path) -> Iterator[World]:
    """A world in which nothing changes, for all who only look."""
    with (
        Simulator(clock=SimulatedClock(start=START, speed=0.0)) as simulator,
        watching(folder, simulator) as world,
    ):
        yield world


def rows(table: str) -> list[dict[str, str]]:
    """The lines of a table that was written into a pipe."""
    head, *lines = table.splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]
