"""How long a scrape may wait for the polls: its time-out, less what rendering takes; and not all may wait."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

WAITING: Final = 16
"""Scrapes that wait for polls at once. Any further one is answered with what is known: were every thread
to wait for a provider that hangs, nobody would show the pages."""

RENDERING: Final = 2
"""Scrapes that are rendered at once. They take turns at the interpreter, and so does whoever answers for our
health: behind a hundred of them it would wait for seconds."""


class Scrapes:
    """The scrapes that are under way."""

    def __init__(self, offset: float) -> None:
        """Know none yet; `offset` is the least that is left for rendering and the way back, in seconds."""
        self._offset = offset
        self._slots = threading.BoundedSemaphore(WAITING)
        self._renderers = threading.BoundedSemaphore(RENDERING)
        self._rendering = 0.0

    @contextmanager
    def waiting(self, timeout: float) -> Iterator[float]:
        """Yield for how many seconds a scrape with this time-out may wait; 0 if too many do already."""
        if not self._slots.acquire(blocking=False):
            yield 0.0
            return
        try:
            # Twice the last time, because several scrapers may render at once.
            yield max(0.0, timeout - max(min(self._offset, timeout / 2), 2 * self._rendering))
        finally:
            self._slots.release()

    @contextmanager
    def rendering(self) -> Iterator[None]:
        """Wait for a turn, and measure how long rendering takes."""
        with self._renderers:
            started = time.monotonic()
            yield
            self._rendering = time.monotonic() - started
