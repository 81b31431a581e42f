"""How the ledger's database is reached: what SQLite and PostgreSQL want to be told."""

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

_BUSY_SECONDS: Final = 5.0


def make_engine(url: sa.URL) -> sa.Engine:
    """Return SQLAlchemy's engine for a database; it connects only when it is used."""
    on_sqlite = url.get_backend_name() == "sqlite"
    engine = sa.create_engine(
        url,
        connect_args=_connect_args(url),
        # Parameters that have places can be handed over as they are.
        paramstyle="qmark" if on_sqlite else "format",
    )
    if on_sqlite:
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def file_of(url: sa.URL) -> Path | None:
    """Return the file that holds the database; None if none does."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def _connect_args(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": _BUSY_SECONDS}
    # A lock or a network that is gone must not hold up the polls for longer than SQLite would.
    return {
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,
        "options": "-c lock_timeout=5s -c statement_timeout=30s",
    }


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Write ahead, so that nothing waits for a commit, and to the disk, so that none is lost."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    # The kernel keeps the file's pages, too: four times as much of SQLite's own makes no write faster.
    cursor.execute("PRAGMA cache_size = -512")
    cursor.execute("PRAGMA journal_size_limit = 4194304")
    cursor.close()
