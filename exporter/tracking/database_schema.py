"""The ledger's tables, and how those of an older version are brought up to date."""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from exporter.tracking.database_error import NewerSchemaError

SCHEMA_VERSION: Final = 3
"""The version of the tables below. A newer one than this is refused, an older one is migrated."""

MIGRATIONS: Final[Mapping[int, tuple[str, ...]]] = {
    2: (
        "ALTER TABLE accounts ADD COLUMN share TEXT NOT NULL DEFAULT '0/1'",
        "ALTER TABLE accounts ADD COLUMN adopted DOUBLE PRECISION",
    ),
    # Bodies of tasks have no names any more. Those that have are read as long as they are there.
    3: (),
}
"""The statements that lead to a version from the one before; each runs on both databases."""

_metadata = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any], rowid: bool = False) -> sa.Table:
    """Return a table of things that belong to an account; `rowid` keeps SQLite's rows in their order."""
    account = (
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
    )
    return sa.Table(name, _metadata, *account, *columns, sqlite_with_rowid=rowid)


_schema = sa.Table("schema_version", _metadata, sa.Column("version", sa.Integer, primary_key=True))
ACCOUNTS = _table(
    "accounts",
    sa.Column("opened", sa.Double, nullable=False),
    sa.Column("position", sa.Double),
    # Which part of it is watched (`exporter.sharding.Share`), and when tasks of others were last adopted.
    sa.Column("share", sa.Text, nullable=False, server_default="0/1"),
    sa.Column("adopted", sa.Double),
)
TASKS = _table(
    "tasks",
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("ended", sa.Double),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # By their ids, which are random, a thousand new tasks would be spread over as many pages.
    rowid=True,
)
COUNTS = _table(
    "counts",
    sa.Column("tally", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
)
TOKENS = _table(
    "tokens",
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("added", sa.Double, nullable=False),
)


def bring_up_to_date(connection: Connection) -> None:
    """Create the tables, or migrate them. Raises `NewerSchemaError`."""
    version = SCHEMA_VERSION
    if sa.inspect(connection).has_table(_schema.name):
        version = connection.execute(sa.select(sa.func.max(_schema.c.version))).scalar() or SCHEMA_VERSION
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"the ledger has schema {version}, this exporter knows schemas up to {SCHEMA_VERSION}: it was"
            " written by a newer version; run that one, or give this one another database"
        )
    if version < 1:
        raise ValueError(f"there is no schema {version}")
    for step in range(version + 1, SCHEMA_VERSION + 1):
        for statement in MIGRATIONS[step]:
            connection.execute(sa.text(statement))
    _metadata.create_all(connection)
    connection.execute(sa.delete(_schema))
    connection.execute(sa.insert(_schema).values(version=SCHEMA_VERSION))
