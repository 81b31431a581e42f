"""Opens the ledger that the configuration names."""

import structlog

from exporter.metrics.telemetry import Telemetry
from exporter.model import Clock
from exporter.sharding import ALONE, Shard
from exporter.tracking.claim import Claim
from exporter.tracking.database_error import DatabaseError
from exporter.tracking.ledger import Ledger, MemoryLedger

_log = structlog.get_logger()


def open_ledger(
    url: str, clock: Clock, telemetry: Telemetry, shard: Shard = ALONE
) -> tuple[Ledger, Claim | None]:
    """Open the ledger, and claim its file if it is one.

    Raises:
        DatabaseError: it can't be opened, or would have to be shared with other shards.
    """
    # To SQLite, each thread's :memory: is a database of its own.
    if url in ("memory://", "sqlite:///:memory:"):
        telemetry.ledger_degraded(False)
        return MemoryLedger(clock), None
    # Imported only where it is used: SQLAlchemy takes a while.
    from sqlalchemy.exc import ArgumentError

    from exporter.tracking.database import Database
    from exporter.tracking.database_ledger import DatabaseLedger
    from exporter.tracking.set_aside import SetAside

    try:
        database = Database(url)
    except ImportError:
        raise DatabaseError(
            "storage.url is one of PostgreSQL, and its driver is not installed:"
            " pip install 'transcoding-exporter[postgresql]'"
        ) from None
    except (ArgumentError, ValueError):
        # Its words could hold a part of the URL, and that a password.
        raise DatabaseError(
            "storage.url can't be understood; special characters are written like %40"
        ) from None
    if database.path is None and not shard.alone:
        raise DatabaseError(
            "storage.url names one database for all shards, which would overwrite each other's counters:"
            " each needs a file of its own"
        )
    ledger = DatabaseLedger(database, clock, telemetry.ledger_degraded)
    if database.path:
        telemetry.ledger_set_aside(SetAside(database.path).count)
    claim = Claim(database.path) if database.path else None
    if claim and not claim.take():
        if not shard.alone:
            ledger.close()
            raise DatabaseError(f"{database.path} is in use, and each shard needs a file of its own")
        _log.warning(
            "another exporter uses this ledger and overwrites its counters; give each a file of its own",
            ledger=str(database.path),
        )
    return ledger, claim
