"""Both services as one process of its own, so that its CPU time is not ours."""

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from random import Random
from typing import Final, NamedTuple

from benchmarks.shelf import KEY, Shelf
from exporter.simulator import Faults, Simulator
from exporter.simulator.server import Server

_SPAWN: Final = multiprocessing.get_context("spawn")
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Work:
    """How many tasks there are.

    Attributes:
        livepeer_ended: Ended ones at Livepeer.
        livepeer_active: Active ones at Livepeer.
        qencode_active: Active ones at Qencode; ended ones are never asked about.
    """

    livepeer_ended: int = 0
    livepeer_active: int = 0
    qencode_active: int = 0


class Asked(NamedTuple):
    """What the services were asked since they were last asked this."""

    requests: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services are, and what one needs to ask them."""

    livepeer_url: str
    livepeer_key: str
    qencode_url: str
    tokens: tuple[str, ...]


class Provider:
    """The services, seen from the process that measures."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.addresses: Addresses = connection.recv()

    def change(self, number: int, new: int = 0) -> Asked:
        """Let tasks go on, half of them at each service that has any, and others come to Livepeer.

        Returns what was asked until now.
        """
        self._connection.send((number, new))
        answer: Asked = self._connection.recv()
        return answer


@contextmanager
def providing(work: Work) -> Iterator[Provider]:
    """Run the services for the duration of the context."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(work, theirs), daemon=True)
    process.start()
    # Only the process has it then: should that end, nobody waits for an answer.
    theirs.close()
    try:
        yield Provider(ours)
    finally:
        if process.is_alive():
            ours.send(None)
        process.join(_PATIENCE)
        process.kill()
        process.join()


def _serve(work: Work, connection: Connection) -> None:
    dice = Random(0)  # noqa: S311 - nothing here is secret
    with Simulator() as simulator:
        shelf = Shelf(simulator.clock, work.livepeer_ended, work.livepeer_active)
        faults = Faults(frozenset({"livepeer_list", "livepeer_task"}), {})
        server = Server(shelf, faults, simulator.requests, simulator.clock)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        jobs = [simulator.qencode.add("encoding", percent=25.0) for _ in range(work.qencode_active)]
        connection.send(Addresses(f"{server.url}/api", KEY, simulator.qencode_url, tuple(jobs)))
        while work_to_do := connection.recv():
            number, new = work_to_do
            asked = Asked(len(simulator.requests), sum(one.sent_bytes for one in simulator.requests))
            simulator.requests.clear()
            of_qencode = number * bool(jobs) // (1 + bool(work.livepeer_active))
            for _ in range(of_qencode):
                jobs.append(jobs.pop(0))
                simulator.qencode.set(jobs[-1], percent=round(100 * dice.random(), 2))
            shelf.change(number - of_qencode)
            shelf.add(new)
            connection.send(asked)
        server.shutdown()
        server.stop()
