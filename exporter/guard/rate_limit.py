"""A limit to how often the server is asked, by all its clients together."""

import threading
import time
from collections.abc import Callable


class TokenBucket:
    """So many requests at once, and then one each interval.

    Safe to use from several threads.
    """

    def __init__(self, interval: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full bucket.

        Args:
            interval: Seconds after which a token is added; above 0.
            burst: How many tokens there can be.
            monotonic: Tells the seconds that pass.
        """
        self._interval = interval
        self._burst = burst
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._filled = monotonic()

    def take(self) -> float:
        """Take a token; return 0, or the seconds until there is one again."""
        with self._lock:
            now = self._monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._filled) / self._interval)
            self._filled = now
            if self._tokens < 1:
                return (1 - self._tokens) * self._interval
            self._tokens -= 1
            return 0.0
