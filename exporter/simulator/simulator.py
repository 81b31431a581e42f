"""The simulator as a whole: both worlds, their servers, and the faults between them and the client."""

from collections.abc import Mapping, Sequence
from selectors import EVENT_READ, DefaultSelector
from socket import socketpair
from threading import Thread
from types import TracebackType
from typing import Self

from exporter.simulator.clock import SimulatedClock
from exporter.simulator.faults import Faults
from exporter.simulator.life import Life
from exporter.simulator.livepeer import LivepeerService
from exporter.simulator.livepeer_life import LivepeerLife
from exporter.simulator.livepeer_world import DEFAULT_KEY, LivepeerWorld, account_ids
from exporter.simulator.qencode import QencodeApi, QencodeMaster
from exporter.simulator.qencode_world import QencodeWorld
from exporter.simulator.server import RequestLog, Server, Service


class Simulator:
    """Stand-ins for Qencode and Livepeer Studio over real HTTP on 127.0.0.1.

    Args:
        seed: The same seed, start of the clock and settings make the same world.
        clock: Simulated time; real time if None.
        life: How tasks come by themselves; with None the world is empty but for hand-made tasks.
        masters: How many Qencode masters there are.
        livepeer_keys: Names of Livepeer accounts by API key; one account named `default` if None.
        qencode_port, livepeer_port: Ports; 0 for any free one.
        master_ports: Ports of the masters; any free ones if empty.

    Attributes:
        clock: Simulated time.
        qencode: Qencode's jobs, to make and change by hand.
        livepeer: Livepeer's accounts and tasks, to make and change by hand.
        faults: Failures to switch on.
        requests: Every request received.

    Example:
        >>> with Simulator(clock=SimulatedClock(speed=0.0)) as simulator:
        ...     task = simulator.livepeer.account.add("upload")
        ...     simulator.livepeer.account.schedule(task)
        ...     simulator.livepeer.account.progress(task, 0.5)
    """

    def __init__(
        self,
        seed: int = 0,
        clock: SimulatedClock | None = None,
        life: Life | None = None,
        masters: int = 3,
        livepeer_keys: Mapping[str, str] | None = None,
        *,
        qencode_port: int = 0,
        livepeer_port: int = 0,
        master_ports: Sequence[int] = (),
    ) -> None:
        self.clock = clock or SimulatedClock()
        self.qencode = QencodeWorld(self.clock, seed, masters, life)
        self.livepeer = _livepeer_world(seed, self.clock, life, livepeer_keys or {DEFAULT_KEY: "default"})
        self.requests = RequestLog()
        self.faults = _faults(masters)
        self._ports = (qencode_port, livepeer_port, *(master_ports or [0] * masters))
        if len(self._ports) != masters + 2:
            raise ValueError(f"{masters} masters need as many ports, got {len(master_ports)}")
        self._servers: list[Server] = []
        self._past_connections = 0
        self._master_urls: list[str] = []
        self._accepting: _Accepting | None = None

    def start(self) -> Self:
        """Listen on all ports; after a stop, on the same ones again.

        Raises:
            OSError: If a port is taken.
        """
        services: list[Service] = [
            QencodeApi(self.qencode, self._master_urls),
            LivepeerService(self.livepeer),
            *(
                QencodeMaster(self.qencode, number + 1, self._master_urls)
                for number in range(len(self._ports) - 2)
            ),
        ]
        servers: list[Server] = []
        try:
            for service, port in zip(services, self._ports, strict=True):
                servers.append(Server(service, self.faults, self.requests, self.clock, port))
        except OSError:
            for server in servers:
                server.stop()
            raise
        self._past_connections = self.connections
        self._servers = servers
        self._ports = tuple(server.server_port for server in servers)
        self._master_urls[:] = [server.url for server in servers[2:]]
        self._accepting = _Accepting(servers)
        return self

    def stop(self) -> None:
        """Close all ports and connections at once, also those that a fault keeps waiting."""
        if self._accepting is not None:
            self._accepting.stop()
            self._accepting = None
        for server in self._servers:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def qencode_url(self) -> str:
        """Base URL of api.qencode.com's stand-in."""
        return self._servers[0].url

    @property
    def livepeer_url(self) -> str:
        """Base URL of livepeer.studio/api's stand-in."""
        return f"{self._servers[1].url}/api"

    @property
    def tokens_url(self) -> str:
        """Where the tokens of recent Qencode jobs are listed, in the format of Prometheus' http_sd."""
        return f"{self.qencode_url}/discovery/tokens"

    @property
    def master_urls(self) -> list[str]:
        """Base URLs of the masters, in order."""
        return list(self._master_urls)

    @property
    def livepeer_key(self) -> str:
        """The API key of the first Livepeer account."""
        return self.livepeer.account.key

    @property
    def connections(self) -> int:
        """Connections accepted so far, by all servers."""
        return self._past_connections + sum(server.connections for server in self._servers)


class _Accepting:
    """One thread that accepts connections for all servers, and ends at once when told to."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._wake, self._woken = socketpair()
        self._servers = servers
        self._thread = Thread(target=self._run, name="simulator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._wake.send(b"!")
        self._thread.join()
        self._wake.close()
        self._woken.close()

    def _run(self) -> None:
        with DefaultSelector() as selector:
            selector.register(self._woken, EVENT_READ)
            for server in self._servers:
                selector.register(server, EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if not isinstance(key.fileobj, Server):
                        return
                    key.fileobj.handle_request()


def _livepeer_world(
    seed: int, clock: SimulatedClock, life: Life | None, keys: Mapping[str, str]
) -> LivepeerWorld:
    world = LivepeerWorld(clock, seed)
    for key, name in keys.items():
        arrivals = None
        if life is not None:
            arrivals = LivepeerLife(life, f"livepeer/{seed}/{name}", clock.time(), *account_ids(name))
        world.new_account(name, key, arrivals)
    return world


def _faults(masters: int) -> Faults:
    numbered = [f"qencode_master_{number + 1}" for number in range(masters)]
    groups = dict.fromkeys(numbered, "qencode_master")
    groups |= {"livepeer_list": "livepeer", "livepeer_task": "livepeer"}
    return Faults(frozenset({"qencode_api", "discovery", *groups}), groups)
