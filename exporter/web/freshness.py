"""How new it is what people and their programs are shown."""

import threading
from datetime import datetime
from typing import Final, Protocol

from exporter.model import Provider
from exporter.report.board import Board
from exporter.report.records import StatusRecord
from exporter.web.scrapes import WAITING, Scrapes

PATIENCE: Final = 2.0
"""Seconds for which a reader waits for polls that are due."""

READERS: Final = WAITING // 4
"""Readers that wait at once. They take their places from the scrapes, which must find some left."""


class Reporter(Protocol):
    """What can be told about the exporter and all that it watches."""

    def board(self) -> Board:
        """Return everything that is known at this moment."""

    def status(self) -> StatusRecord:
        """Return how the exporter is."""

    def now(self) -> datetime:
        """Return the present moment by the exporter's clock."""

    def label(self, provider: Provider, task: str) -> str:
        """Return what people may see of a task's id."""

    def catch_up(self, timeout: float) -> None:
        """Poll what is due, for at most `timeout` seconds; what takes longer goes on."""


class FreshBoard:
    """What is known, brought up to date before it is read, as far as that is quickly done."""

    def __init__(self, reporter: Reporter, scrapes: Scrapes) -> None:
        """Know no reader yet.

        Args:
            reporter: Tells what is known.
            scrapes: Who else waits.
        """
        self._reporter = reporter
        self._scrapes = scrapes
        self._places = threading.BoundedSemaphore(READERS)

    def __call__(self) -> Board:
        """Poll what is due, wait for at most `PATIENCE` seconds, and return everything that is known.

        Nobody waits if too many do already.
        """
        if self._places.acquire(blocking=False):
            try:
                with self._scrapes.waiting(PATIENCE) as seconds:
                    self._reporter.catch_up(seconds)
            finally:
                self._places.release()
        else:
            self._reporter.catch_up(0.0)
        return self._reporter.board()
