"""The ledger's tables, in SQLite or PostgreSQL: the same statements for both."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, make_url

from exporter.model import Account
from exporter.tracking.database_error import DamagedError, DatabaseError, FullError, NewerSchemaError
from exporter.tracking.knowledge import PackedTask
from exporter.tracking.ledger import GivenToken
from exporter.tracking.tally import Count, Tally

SCHEMA_VERSION: Final = 1
"""The version of the tables below. A newer one than this is refused, an older one is migrated."""

MIGRATIONS: Final[Mapping[int, tuple[str, ...]]] = {}
"""The statements that lead to a version from the one before; each runs on both databases."""

_BUSY_SECONDS: Final = 5.0

_metadata = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """Return a table of things that belong to an account."""
    account = (
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
    )
    return sa.Table(name, _metadata, *account, *columns, sqlite_with_rowid=False)


_schema = sa.Table("schema_version", _metadata, sa.Column("version", sa.Integer, primary_key=True))
_accounts = _table(
    "accounts", sa.Column("opened", sa.Double, nullable=False), sa.Column("position", sa.Double)
)
_tasks = _table(
    "tasks",
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("ended", sa.Double),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
_counts = _table(
    "counts",
    sa.Column("tally", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
)
_tokens = _table(
    "tokens",
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("added", sa.Double, nullable=False),
)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """All that is remembered of an account; the tasks in the order in which they ended."""

    opened: float
    position: float | None
    tasks: Mapping[str, PackedTask]
    counts: Mapping[Count, float]


@dataclass(slots=True)
class Batch:
    """What is to be written of one account, in one transaction. Later values replace earlier ones.

    Attributes:
        account: The account.
        opened: When it was first watched.
        position: How far it has been read.
        tasks: New and changed tasks; None for one that is to be deleted.
        counts: Where counters now stand.
    """

    account: Account
    opened: float
    position: float | None = None
    tasks: dict[str, PackedTask | None] = field(default_factory=dict)
    counts: dict[Count, float] = field(default_factory=dict)


class Database:
    """The ledger's database. One thread at a time writes; SQLAlchemy pools the connections."""

    def __init__(self, url: str) -> None:
        """Open nothing yet; `url` is one of SQLAlchemy's."""
        self._url = make_url(url)
        self.path = _path(self._url)
        self._engine = sa.create_engine(self._url, connect_args=_connect_args(self._url))
        if self._url.get_backend_name() == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert

    def open(self) -> None:
        """Create the tables, or bring them up to date.

        Raises:
            NewerSchemaError: they are newer than this exporter.
            DamagedError: they can't be read.
            DatabaseError: the database can't be reached.
        """
        with _translated(self._url):
            if self.path:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._engine.begin() as connection:
                _bring_up_to_date(connection)

    def load(self, account: Account) -> StoredAccount | None:
        """Return what is remembered of an account; None if there is nothing. Raises `DatabaseError`."""
        return self._load(self._engine, account)

    def load_read_only(self, account: Account) -> StoredAccount | None:
        """Return what the file holds, without writing a byte: for a disk that is full.

        Raises:
            DatabaseError: not even that is possible.
        """
        if self.path is None or not self.path.exists() or not self.path.stat().st_size:
            return None
        try:
            return self._load_by("mode=ro", account)
        except DatabaseError:
            # To look into its write-ahead log SQLite needs room for an index: without, the log is left out.
            return self._load_by("mode=ro&immutable=1", account)

    def set_aside(self, suffix: str) -> Path | None:
        """Rename the file and its companions; return its new name, None if the database is no file."""
        self._engine.dispose()
        if self.path is None:
            return None
        for companion in ("-wal", "-shm", ""):
            file = self.path.with_name(self.path.name + companion)
            if file.exists():
                file.rename(file.with_name(f"{self.path.name}.{suffix}{companion}"))
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def _load_by(self, options: str, account: Account) -> StoredAccount | None:
        engine = sa.create_engine(f"sqlite:///file:{self.path and self.path.resolve()}?{options}&uri=true")
        try:
            return self._load(engine, account)
        finally:
            engine.dispose()

    def _load(self, engine: sa.Engine, account: Account) -> StoredAccount | None:
        with _translated(self._url), engine.connect() as connection:
            row = connection.execute(
                sa.select(_accounts.c.opened, _accounts.c.position).where(*_of(_accounts, account))
            ).one_or_none()
            if row is None:
                return None
            tasks = connection.execute(
                sa.select(_tasks.c.task, _tasks.c.ended, _tasks.c.body)
                .where(*_of(_tasks, account))
                .order_by(_tasks.c.ended)
            )
            counts = connection.execute(
                sa.select(_counts.c.tally, _counts.c.labels, _counts.c.value).where(*_of(_counts, account))
            )
            return StoredAccount(
                opened=row.opened,
                position=row.position,
                tasks={task: PackedTask(ended, bytes(body)) for task, ended, body in tasks},
                counts={
                    Count(Tally(tally), tuple(json.loads(labels))): value for tally, labels, value in counts
                },
            )

    def write(self, batches: Sequence[Batch]) -> None:
        """Write everything, or nothing. Raises `DatabaseError`."""
        with _translated(self._url), self._engine.begin() as connection:
            for batch in batches:
                self._write(connection, batch)

    def tokens(self, account: Account) -> Mapping[str, GivenToken]:
        """Return the tokens that were given by the API. Raises `DatabaseError`."""
        with _translated(self._url), self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(_tokens.c.token, _tokens.c.labels, _tokens.c.added).where(*_of(_tokens, account))
            )
            return {token: GivenToken(json.loads(labels), added) for token, labels, added in rows}

    def write_token(self, account: Account, token: str, given: GivenToken) -> None:
        """Remember a token that was given by the API. Raises `DatabaseError`."""
        labels = json.dumps(dict(given.labels), sort_keys=True)
        row = {"token": token, "labels": labels, "added": given.added}
        with _translated(self._url), self._engine.begin() as connection:
            self._upsert(connection, _tokens, account, [row])

    def delete_token(self, account: Account, token: str) -> None:
        """Forget a token that was given by the API. Raises `DatabaseError`."""
        with _translated(self._url), self._engine.begin() as connection:
            connection.execute(sa.delete(_tokens).where(*_of(_tokens, account), _tokens.c.token == token))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _write(self, connection: Connection, batch: Batch) -> None:
        row = {"opened": batch.opened, "position": batch.position}
        self._upsert(connection, _accounts, batch.account, [row])
        kept = [
            {"task": task, "ended": stored.ended, "body": stored.body}
            for task, stored in batch.tasks.items()
            if stored is not None
        ]
        self._upsert(connection, _tasks, batch.account, kept)
        if gone := [{"gone": task} for task, stored in batch.tasks.items() if stored is None]:
            connection.execute(
                sa.delete(_tasks).where(*_of(_tasks, batch.account), _tasks.c.task == sa.bindparam("gone")),
                gone,
            )
        counts = [
            {"tally": count.tally, "labels": json.dumps(count.labels), "value": value}
            for count, value in batch.counts.items()
        ]
        self._upsert(connection, _counts, batch.account, counts)

    def _upsert(
        self, connection: Connection, table: sa.Table, account: Account, rows: Sequence[Mapping[str, object]]
    ) -> None:
        if not rows:
            return
        statement = self._insert(table)
        update = {
            column.name: statement.excluded[column.name] for column in table.c if not column.primary_key
        }
        connection.execute(
            statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=update),
            [{"provider": account.provider, "account": account.name, **row} for row in rows],
        )


def _of(table: sa.Table, account: Account) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.provider == account.provider, table.c.account == account.name


def _bring_up_to_date(connection: Connection) -> None:
    version = SCHEMA_VERSION
    if sa.inspect(connection).has_table(_schema.name):
        version = connection.execute(sa.select(_schema.c.version)).scalar_one_or_none() or SCHEMA_VERSION
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"the ledger has schema {version}, this exporter knows schemas up to {SCHEMA_VERSION}: it was"
            " written by a newer version; run that one, or give this one another database"
        )
    for step in range(version + 1, SCHEMA_VERSION + 1):
        for statement in MIGRATIONS[step]:
            connection.execute(sa.text(statement))
    _metadata.create_all(connection)
    connection.execute(sa.delete(_schema))
    connection.execute(sa.insert(_schema).values(version=SCHEMA_VERSION))


def _path(url: sa.URL) -> Path | None:
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def _connect_args(url: sa.URL) -> dict[str, Any]:
    return {"timeout": _BUSY_SECONDS} if url.get_backend_name() == "sqlite" else {"connect_timeout": 5}


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Write ahead, so that nothing waits for a commit, and to the disk, so that none is lost."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA journal_size_limit = 4194304")
    cursor.close()


@contextmanager
def _translated(url: sa.URL) -> Iterator[None]:
    """Turn what SQLAlchemy and the disk raise into our errors; passwords are left out of the message."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        text = str(error.orig)
        # Without the query, too: libpq takes a password there.
        shown = url.set(query={}).render_as_string(hide_password=True)
        signs = _SQLITE_SIGNS if url.get_backend_name() == "sqlite" else {}
        kind = next((kind for sign, kind in signs.items() if sign in text), DatabaseError)
        raise kind(f"{shown}: {text}") from None
    except OSError as error:
        raise DatabaseError(f"{error.filename}: {error.strerror}") from None


# SQLite's messages for NOTADB, CORRUPT, FULL and IOERR; the last comes of a full disk, too.
_SQLITE_SIGNS: Final[Mapping[str, type[DatabaseError]]] = {
    "file is not a database": DamagedError,
    "malformed": DamagedError,
    "disk is full": FullError,
    "disk I/O error": FullError,
}
