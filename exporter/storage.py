"""Opens the ledger that the configuration names."""

from pathlib import Path
from typing import Final

import structlog

from exporter.metrics.telemetry import Telemetry
from exporter.model import Clock
from exporter.sharding import ALONE, Shard
from exporter.tracking.claim import Claim
from exporter.tracking.database_error import DatabaseError
from exporter.tracking.ledger import Ledger, MemoryLedger

_MAGIC: Final = b"SQLite format 3\0"
"""What each file of SQLite begins with."""

_PAGE: Final = 4096
"""Bytes: the size of each file that SQLite has written is a multiple of it."""

_log = structlog.get_logger()


def open_ledger(
    url: str, clock: Clock, telemetry: Telemetry, shard: Shard = ALONE
) -> tuple[Ledger, Claim | None]:
    """Open the ledger, and claim its file if it is one.

    Raises:
        DatabaseError: it can't be opened, is a file of something else, or would have to be shared with other
            shards.
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
    if database.path and _foreign(database.path):
        raise DatabaseError(
            f"{database.path} is no ledger; name another file with storage.url or --storage.path,"
            " or move it away"
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


def _foreign(path: Path) -> bool:
    """Whether a file is somebody else's: it would be a pity to set it aside as a damaged ledger.

    Of a ledger whose beginning is overwritten, its size still tells, or what SQLite keeps beside it.
    """
    try:
        # Not of a pipe, which would keep us waiting.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
        whole_pages = path.stat().st_size % _PAGE == 0
    except OSError:
        # Opening it as a ledger tells better what is wrong.
        return False
    beside = any(path.with_name(path.name + companion).exists() for companion in ("-wal", "-shm"))
    return begins not in (b"", _MAGIC) and not whole_pages and not beside
