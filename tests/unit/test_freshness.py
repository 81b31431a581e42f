"""Readers wait for what is due, but not for long, and never so many that a scrape can't."""

import threading
from datetime import datetime

from exporter.model import Provider
from exporter.report.board import Board
from exporter.report.records import StatusRecord
from exporter.web.freshness import PATIENCE, READERS, FreshBoard
from exporter.web.scrapes import Scrapes
from tests.processes import wait_until

BOARD = Board((), {}, None, 0.0)  # type: ignore[arg-type] # nothing is on it


class Hanging:
    """An exporter whose providers hang: whoever waits for them does so until the end."""

    def __init__(self) -> None:
        self.patience: list[float] = []
        self.end = threading.Event()

    def catch_up(self, timeout: float) -> None:
        self.patience.append(timeout)
        if timeout:
            assert self.end.wait(30)

    def board(self) -> Board:
        return BOARD

    def status(self) -> StatusRecord:
        raise NotImplementedError

    def now(self) -> datetime:
        raise NotImplementedError

    def label(self, provider: Provider, task: str) -> str:
        raise NotImplementedError


def test_given_as_many_readers_as_may_wait_then_one_more_does_not_and_a_scrape_does() -> None:
    reporter, scrapes = Hanging(), Scrapes(0.5)
    fresh = FreshBoard(reporter, scrapes)
    readers = [threading.Thread(target=fresh) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    wait_until(lambda: len(reporter.patience) == READERS, 10, "all readers wait")

    assert all(0 < seconds <= PATIENCE for seconds in reporter.patience)
    assert fresh() is BOARD
    assert reporter.patience[-1] == 0
    with scrapes.waiting(10.0) as seconds:
        assert seconds == 9.5

    reporter.end.set()
    for reader in readers:
        reader.join(10)
    fresh()
    assert reporter.patience[-1] > 0, "the places are free again"
