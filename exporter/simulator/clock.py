"""The simulator's own time, which a demo can speed up and a test can drive."""

import time
from threading import Lock


class SimulatedClock:
    """Time that passes at a chosen speed and can be pushed forward; safe to share between threads.

    Args:
        start: Seconds since the epoch at which simulated time begins; the present if None.
        speed: Simulated seconds per real second. With 0 only `advance` moves time.

    Example:
        >>> clock = SimulatedClock(start=1000.0, speed=0.0)
        >>> clock.advance(30)
        >>> clock.time()
        1030.0
    """

    def __init__(self, start: float | None = None, speed: float = 1.0) -> None:
        self._lock = Lock()
        self._origin = time.time() if start is None else float(start)
        self._simulated = self._origin
        self._real = time.monotonic()
        self._speed = _not_negative(speed, "speed")

    def time(self) -> float:
        """Return the simulated seconds since the epoch."""
        with self._lock:
            return self._now()

    def monotonic(self) -> float:
        """Return the simulated seconds since this clock was made."""
        return self.time() - self._origin

    def advance(self, seconds: float) -> None:
        """Push simulated time forward.

        Args:
            seconds: How far, in simulated seconds.

        Raises:
            ValueError: If it would turn time back.
        """
        step = _not_negative(seconds, "seconds")
        with self._lock:
            self._simulated += step

    @property
    def speed(self) -> float:
        """Simulated seconds per real second; a change takes effect from now on, without a jump."""
        with self._lock:
            return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        checked = _not_negative(speed, "speed")
        with self._lock:
            self._simulated = self._now()
            self._real = time.monotonic()
            self._speed = checked

    def _now(self) -> float:
        return self._simulated + (time.monotonic() - self._real) * self._speed


def _not_negative(value: float, name: str) -> float:
    if value < 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return float(value)
