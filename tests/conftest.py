import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from exporter.simulator import SimulatedClock, Simulator
from tests.support import START, DrivenClock

# Who starts the tests in the background may have them ignore Ctrl-C, and so all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests don't time things: the machine may be busy.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _same_logs() -> Iterator[None]:
    """Name the test that leaves other logs behind, and not one that misses a line later on."""
    before = structlog.get_config()
    yield
    assert structlog.get_config() == before


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Both services, empty, at a time that stands still until the test moves it."""
    with Simulator(clock=SimulatedClock(start=START, speed=0.0)) as simulator:
        yield simulator


@pytest.fixture
def clock(simulator: Simulator) -> DrivenClock:
    """The exporter's clock, moved by `simulator.clock.advance`."""
    return DrivenClock(simulator.clock)
