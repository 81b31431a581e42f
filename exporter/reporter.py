"""Tells people and their programs about an exporter: what the web may know of it."""

from datetime import UTC, datetime

from exporter import __version__
from exporter.assembly import Exporter
from exporter.metrics import families
from exporter.metrics.families import Family
from exporter.report.board import together
from exporter.report.records import StatusRecord


class Reporter:
    """Tells about an exporter, which starts when this is made."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._started = exporter.now()
        self.board = exporter.board
        self.label = exporter.label
        self.catch_up = exporter.catch_up

    def now(self) -> datetime:
        """Return the present moment by the exporter's clock."""
        return _date(self._exporter.now())

    def status(self) -> StatusRecord:
        """Return how the exporter is, and what it sees."""
        accounts = self._exporter.board().accounts()
        return StatusRecord(
            version=__version__,
            started=_date(self._started),
            now=self.now(),
            accounts_up=sum(account.up is True for account in accounts),
            accounts_down=sum(account.up is False for account in accounts),
            tasks=together(account.tasks for account in accounts),
            stalled=sum(account.stalled for account in accounts),
            failed=sum(account.failed for account in accounts),
            config_reload_successful=self._is(families.RELOAD_SUCCESSFUL),
            ledger_degraded=self._is(families.LEDGER_DEGRADED),
            shard=self._exporter.shard.number,
            total_shards=self._exporter.shard.total,
        )

    def _is(self, gauge: Family) -> bool:
        # Only this one: to render them all takes a while.
        (family,) = self._exporter.registry.restricted_registry([gauge.name]).collect()
        return any(sample.value == 1 for sample in family.samples)


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
