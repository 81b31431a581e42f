"""Opens the ledger that the configuration names."""

from typing import TYPE_CHECKING, Final

import structlog

from exporter.ledger_file import Obstacle, UnusableError, obstacle_in
from exporter.metrics.telemetry import Telemetry
from exporter.model import Clock
from exporter.sharding import ALONE, Shard
from exporter.tracking.claim import Claim
from exporter.tracking.database_error import DatabaseError
from exporter.tracking.ledger import Ledger, MemoryLedger

if TYPE_CHECKING:
    from exporter.tracking.database import Database

_MAX_PORT: Final = 65535

_log = structlog.get_logger()


def open_ledger(
    url: str, clock: Clock, telemetry: Telemetry, shard: Shard = ALONE
) -> tuple[Ledger, Claim | None]:
    """Open the ledger, and claim its file if it is one.

    Raises:
        DatabaseError: it can't be opened, is a file of something else, or would have to be shared with other
            shards.
    """
    database = _database(url)
    if database is None:
        telemetry.ledger_degraded(False)
        return MemoryLedger(clock), None
    # Imported only where it is used: SQLAlchemy takes a while.
    from exporter.tracking.database_ledger import DatabaseLedger
    from exporter.tracking.set_aside import SetAside

    path = database.path
    if (obstacle := _obstacle_to(database, shard)) and not obstacle.here:
        raise UnusableError(obstacle)
    try:
        ledger = DatabaseLedger(database, clock, telemetry.ledger_degraded)
    except DatabaseError:
        # Its words are SQLite's: of what stands in the way they know nothing.
        if path and (obstacle := obstacle_in(path)):
            raise UnusableError(obstacle) from None
        raise
    if path:
        telemetry.ledger_set_aside(SetAside(path).count)
    claim = Claim(path) if path else None
    if claim and not claim.take():
        if not shard.alone:
            ledger.close()
            raise UnusableError(Obstacle(f"{path} is in use, and each shard needs a file of its own"))
        _log.warning(
            "another exporter uses this ledger and overwrites its counters; give each a file of its own",
            ledger=str(path),
        )
    return ledger, claim


def obstacle_to(url: str, shard: Shard = ALONE) -> Obstacle | None:
    """Return what keeps the ledger of a shard from being where a URL says; None if nothing is seen to.

    Nothing is opened or changed to find out, and no server is asked.
    """
    try:
        database = _database(url)
    except UnusableError as error:
        return error.obstacle
    return _obstacle_to(database, shard) if database else None


def _obstacle_to(database: "Database", shard: Shard) -> Obstacle | None:
    if database.path:
        return obstacle_in(database.path)
    if shard.alone:
        return None
    return Obstacle(
        "one database is named for all shards, which would overwrite each other's counters: each needs a file"
        " of its own"
    )


def _database(url: str) -> "Database | None":
    """Return the database of a URL, not yet opened; None if nothing is to be kept. Raises `UnusableError`."""
    # To SQLite, each thread's :memory: is a database of its own.
    if url in ("memory://", "sqlite:///:memory:"):
        return None
    # Imported only where it is used: SQLAlchemy takes a while.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    from exporter.tracking.database import Database

    try:
        port = make_url(url).port
        if port is None or 0 < port <= _MAX_PORT:
            return Database(url)
        obstacle = Obstacle(
            f"the URL has no port from 1 to {_MAX_PORT}",
            "write storage.url like postgresql://user@host:5432/name",
        )
    except ImportError:
        obstacle = Obstacle(
            "the driver of PostgreSQL is not installed here",
            "install it where the exporter serves (pip install 'transcoding-exporter[postgresql]')",
            here=True,
        )
    except (ArgumentError, ValueError, TypeError):
        # Its words could hold a part of the URL, and that a password.
        obstacle = Obstacle("the URL can't be understood", "write special characters in storage.url like %40")
    raise UnusableError(obstacle)
