"""A reporter of an exporter that watches nothing, for what is not about its pages."""

from datetime import UTC, datetime

from exporter.metrics.view import View
from exporter.model import Provider
from exporter.report.board import Board, together
from exporter.report.records import StatusRecord

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Idle:
    """Watches nothing, at noon."""

    def board(self) -> Board:
        return Board((), {}, View(), 0.0)

    def status(self) -> StatusRecord:
        return StatusRecord(
            version="1",
            started=_NOON,
            now=_NOON,
            accounts_up=0,
            accounts_down=0,
            tasks=together(()),
            stalled=0,
            failed=0,
            config_reload_successful=True,
            ledger_degraded=False,
        )

    def now(self) -> datetime:
        return _NOON

    def label(self, _: Provider, task: str) -> str:
        return task

    def catch_up(self, timeout: float) -> None:
        assert timeout >= 0
