from collections.abc import Iterator

import pytest

from exporter.simulator import SimulatedClock, Simulator
from tests.support import START, DrivenClock


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Both services, empty, at a time that stands still until the test moves it."""
    with Simulator(clock=SimulatedClock(start=START, speed=0.0)) as simulator:
        yield simulator


@pytest.fixture
def clock(simulator: Simulator) -> DrivenClock:
    """The exporter's clock, moved by `simulator.clock.advance`."""
    return DrivenClock(simulator.clock)
