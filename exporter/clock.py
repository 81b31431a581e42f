"""The machine's clocks."""

import time


class SystemClock:
    """Time as the machine tells it, and a time that does not follow its steps."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def time(self) -> float:
        """Return the seconds since the epoch; the machine's clock may step."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since any moment, that never step."""
        return time.monotonic()

    def steady(self) -> float:
        """Return the seconds since the epoch by the clock of the start, that never step since."""
        return time.monotonic() + self._ahead
