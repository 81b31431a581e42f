"""Simulated time."""

import pytest

from exporter.simulator import SimulatedClock
from exporter.simulator import clock as clock_module


class Real:
    """The machine's clock, in the test's hand."""

    def __init__(self) -> None:
        self.now = 500.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Real:
    real = Real()
    monkeypatch.setattr(clock_module, "time", real)
    return real


def test_given_no_start_when_made_then_it_shows_the_present(real: Real) -> None:
    assert SimulatedClock().time() == 1_700_000_000.0


def test_given_speed_zero_when_real_time_passes_then_only_advance_moves_it(real: Real) -> None:
    clock = SimulatedClock(start=1000.0, speed=0.0)
    real.now += 60
    assert clock.time() == 1000.0
    clock.advance(2.5)
    assert (clock.time(), clock.monotonic()) == (1002.5, 2.5)


def test_given_a_speed_when_real_time_passes_then_it_passes_so_much_faster(real: Real) -> None:
    clock = SimulatedClock(start=1000.0, speed=10.0)
    clock.advance(5)
    real.now += 2
    assert clock.time() == 1025.0


def test_given_a_running_clock_when_its_speed_changes_then_it_does_not_jump(real: Real) -> None:
    clock = SimulatedClock(start=1000.0, speed=10.0)
    real.now += 2
    clock.speed = 1.0
    assert clock.time() == 1020.0
    real.now += 3
    assert (clock.time(), clock.speed) == (1023.0, 1.0)


@pytest.mark.parametrize("value", [-1, -0.001])
def test_given_a_negative_value_when_set_then_time_does_not_run_backwards(value: float) -> None:
    clock = SimulatedClock(start=0.0, speed=0.0)
    with pytest.raises(ValueError, match="negative"):
        clock.advance(value)
    with pytest.raises(ValueError, match="negative"):
        clock.speed = value
    with pytest.raises(ValueError, match="negative"):
        SimulatedClock(speed=value)
