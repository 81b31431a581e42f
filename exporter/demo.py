"""The demo: the exporter, watching simulated services over real HTTP on loopback."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.config import Config, LivepeerConfig, QencodeConfig, Secret, StorageConfig
from exporter.simulator import Fault, FaultKind, Life, SimulatedClock, Simulator

NAME: Final = "demo"
"""The name of the account at each service."""


class Mood(StrEnum):
    """What kind of day the simulated services have."""

    HEALTHY = "healthy"
    ORDINARY = "ordinary"
    FAILING = "failing"
    OUTAGE = "outage"


_LIVES: Final[Mapping[Mood, Life]] = {
    Mood.HEALTHY: Life(failure_ratio=0.0, stall_ratio=0.0, warning_ratio=0.0),
    Mood.ORDINARY: Life(),
    Mood.FAILING: Life(failure_ratio=0.5, stall_ratio=0.1, warning_ratio=0.3),
    Mood.OUTAGE: Life(),
}

_FAULTS: Final[Mapping[Mood, Mapping[str, Fault]]] = {
    Mood.OUTAGE: {
        "livepeer": Fault(FaultKind.SERVER_ERROR, status=503),
        "qencode_master_1": Fault(FaultKind.HANG),
        "qencode_master_2": Fault(FaultKind.RESET),
    }
}


class DemoClock:
    """The simulated time for what has a date, real time for what is waited for."""

    def __init__(self, simulated: SimulatedClock) -> None:
        self._simulated = simulated

    def time(self) -> float:
        """Return the simulated seconds since the epoch."""
        return self._simulated.time()

    def monotonic(self) -> float:
        """Return real seconds that never step."""
        return time.monotonic()

    def steady(self) -> float:
        """Return the simulated seconds since the epoch, which never step."""
        return self._simulated.time()


@dataclass(frozen=True, slots=True)
class Demo:
    """A running simulation, and what the exporter needs to watch it."""

    simulator: Simulator
    config: Config
    clock: DemoClock


@contextmanager
def simulation(*, seed: int = 1, speed: float = 1.0, mood: Mood = Mood.ORDINARY) -> Iterator[Demo]:
    """Run both simulated services for the duration of the context."""
    clock = SimulatedClock(speed=speed)
    with Simulator(seed=seed, clock=clock, life=_LIVES[mood]) as simulator:
        for target, fault in _FAULTS.get(mood, {}).items():
            simulator.faults.set(target, fault)
        config = Config(
            storage=StorageConfig(url="memory://"),
            qencode=(
                QencodeConfig(
                    name=NAME,
                    base_url=simulator.qencode_url,
                    task_tokens_http=simulator.tokens_url,
                    allowed_hosts=("127.0.0.1",),
                ),
            ),
            livepeer=(
                LivepeerConfig(
                    name=NAME, base_url=simulator.livepeer_url, api_key=Secret(simulator.livepeer_key)
                ),
            ),
        )
        yield Demo(simulator, config, DemoClock(clock))
