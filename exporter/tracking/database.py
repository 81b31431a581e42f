"""The ledger's tables, in SQLite or PostgreSQL: the same statements for both."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url

from exporter.model import Account
from exporter.sharding import ALONE, Share, read_share
from exporter.tracking.database_engine import file_of, make_engine
from exporter.tracking.database_error import DamagedError, DatabaseError, FullError
from exporter.tracking.database_schema import ACCOUNTS, COUNTS, TASKS, TOKENS, bring_up_to_date
from exporter.tracking.ledger import GivenToken
from exporter.tracking.packing import PackedTask, without_names
from exporter.tracking.set_aside import COMPANIONS
from exporter.tracking.tally import Count, Tally
from exporter.tracking.upserts import Upserts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """All that is remembered of an account; the tasks in the order in which they ended."""

    opened: float
    position: float | None
    tasks: Mapping[str, PackedTask]
    counts: Mapping[Count, float]
    share: Share
    adopted: float | None


@dataclass(slots=True)
class Batch:
    """What is to be written of one account, in one transaction. Later values replace earlier ones.

    Attributes:
        account: The account.
        opened: When it was first watched.
        position: How far it has been read.
        tasks: New and changed tasks; None for one that is to be deleted.
        counts: Where counters now stand; None for one that is to be deleted.
        tokens: Tokens that were given by the API; only where the whole account is written anew.
        share: Which part of the account is watched, as text.
        adopted: When tasks of other exporters were last adopted (steady seconds); None if never.
    """

    account: Account
    opened: float
    position: float | None = None
    tasks: dict[str, PackedTask | None] = field(default_factory=dict)
    counts: dict[Count, float | None] = field(default_factory=dict)
    tokens: Mapping[str, GivenToken] = field(default_factory=dict)
    share: str = str(ALONE)
    adopted: float | None = None


class Database:
    """The ledger's database. One thread at a time writes; SQLAlchemy pools the connections."""

    def __init__(self, url: str) -> None:
        """Open nothing yet; `url` is one of SQLAlchemy's."""
        self._url = make_url(url)
        self.path = file_of(self._url)
        self._engine = make_engine(self._url)
        self._file: tuple[int, int] | None = None
        self._upserts = Upserts(self._engine)

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
                bring_up_to_date(connection)
            self._file = self._identity()

    def in_place(self) -> bool:
        """Whether the file is still the one that was opened: it may have been deleted or replaced since."""
        return self._file == self._identity()

    def _identity(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def load(self, account: Account) -> StoredAccount | None:
        """Return what is remembered of an account; None if there is nothing. Raises `DatabaseError`."""
        return self._load(self._engine, account)

    def load_read_only(self, account: Account) -> StoredAccount | None:
        """Return what the file holds, without writing a byte: for a disk that is full.

        Raises:
            DatabaseError: not even that is possible.
        """
        return self._read_only(lambda engine: self._load(engine, account))

    def set_aside(self, suffix: str) -> Path | None:
        """Rename the file and its companions; return its new name, None if the database is no file."""
        self._engine.dispose()
        if self.path is None:
            return None
        with _translated(self._url):
            for companion in COMPANIONS:
                file = self.path.with_name(self.path.name + companion)
                if file.exists():
                    file.rename(file.with_name(f"{self.path.name}.{suffix}{companion}"))
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def _read_only(self, read: Callable[[sa.Engine], T]) -> T | None:
        if self.path is None or not self.path.exists() or not self.path.stat().st_size:
            return None
        try:
            return self._read_by("mode=ro", read)
        except DatabaseError:
            # To look into its write-ahead log SQLite needs room for an index: without, the log is left out.
            return self._read_by("mode=ro&immutable=1", read)

    def _read_by(self, options: str, read: Callable[[sa.Engine], T]) -> T:
        engine = sa.create_engine(f"sqlite:///file:{self.path and self.path.resolve()}?{options}&uri=true")
        try:
            return read(engine)
        finally:
            engine.dispose()

    def _load(self, engine: sa.Engine, account: Account) -> StoredAccount | None:
        with _translated(self._url), engine.connect() as connection:
            row = connection.execute(_select_account(connection).where(*_of(ACCOUNTS, account))).one_or_none()
            if row is None:
                return None
            tasks = connection.execute(
                sa.select(TASKS.c.task, TASKS.c.ended, TASKS.c.body)
                .where(*_of(TASKS, account))
                .order_by(TASKS.c.ended)
            )
            counts = connection.execute(
                sa.select(COUNTS.c.tally, COUNTS.c.labels, COUNTS.c.value).where(*_of(COUNTS, account))
            )
            return StoredAccount(
                opened=_number(row.opened),
                position=_number_or_none(row.position),
                tasks={
                    task: PackedTask(_number_or_none(ended), without_names(bytes(body)))
                    for task, ended, body in tasks
                },
                counts={
                    Count(Tally(tally), tuple(json.loads(labels))): _number(value)
                    for tally, labels, value in counts
                },
                share=read_share(account, row.share),
                adopted=_number_or_none(row.adopted),
            )

    def write(self, batches: Sequence[Batch]) -> None:
        """Write everything, or nothing. Raises `DatabaseError`."""
        with _translated(self._url), self._engine.begin() as connection:
            for batch in batches:
                self._write(connection, batch)

    def tokens(self, account: Account) -> Mapping[str, GivenToken]:
        """Return the tokens that were given by the API. Raises `DatabaseError`."""
        return self._tokens(self._engine, account)

    def tokens_read_only(self, account: Account) -> Mapping[str, GivenToken]:
        """Return the tokens that the file holds, as `load_read_only` does. Raises `DatabaseError`."""
        return self._read_only(lambda engine: self._tokens(engine, account)) or {}

    def _tokens(self, engine: sa.Engine, account: Account) -> Mapping[str, GivenToken]:
        with _translated(self._url), engine.connect() as connection:
            rows = connection.execute(
                sa.select(TOKENS.c.token, TOKENS.c.labels, TOKENS.c.added).where(*_of(TOKENS, account))
            )
            return {
                token: GivenToken(dict(json.loads(labels)), _number(added)) for token, labels, added in rows
            }

    def write_token(self, account: Account, token: str, given: GivenToken) -> None:
        """Remember a token that was given by the API. Raises `DatabaseError`."""
        with _translated(self._url), self._engine.begin() as connection:
            self._upserts.write(connection, TOKENS, account, [_token(token, given)])

    def delete_token(self, account: Account, token: str) -> None:
        """Forget a token that was given by the API. Raises `DatabaseError`."""
        with _translated(self._url), self._engine.begin() as connection:
            connection.execute(sa.delete(TOKENS).where(*_of(TOKENS, account), TOKENS.c.token == token))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _write(self, connection: Connection, batch: Batch) -> None:
        account = (batch.opened, batch.position, batch.share, batch.adopted)
        self._upserts.write(connection, ACCOUNTS, batch.account, [account])
        kept = ((task, *stored) for task, stored in batch.tasks.items() if stored is not None)
        self._upserts.write(connection, TASKS, batch.account, kept)
        if gone := [{"gone": task} for task, stored in batch.tasks.items() if stored is None]:
            connection.execute(
                sa.delete(TASKS).where(*_of(TASKS, batch.account), TASKS.c.task == sa.bindparam("gone")),
                gone,
            )
        counts = [(count.tally, json.dumps(count.labels), value) for count, value in batch.counts.items()]
        stand = ((tally, labels, value) for tally, labels, value in counts if value is not None)
        self._upserts.write(connection, COUNTS, batch.account, stand)
        for tally, labels, value in counts:
            if value is None:
                connection.execute(
                    sa.delete(COUNTS).where(
                        *_of(COUNTS, batch.account), COUNTS.c.tally == tally, COUNTS.c.labels == labels
                    )
                )
        tokens = (_token(token, given) for token, given in batch.tokens.items())
        self._upserts.write(connection, TOKENS, batch.account, tokens)


def _number(value: float) -> float:
    """Return what was stored as a number; raises ValueError if it is none any more.

    It may be negative: what ended in 1970 by a clock that is behind ours is remembered, too.
    """
    if not math.isfinite(float(value)):
        raise ValueError(f"{value} is stored where there was a number")
    return float(value)


def _number_or_none(value: float | None) -> float | None:
    return None if value is None else _number(value)


def _token(token: str, given: GivenToken) -> tuple[str, str, float]:
    return token, json.dumps(dict(given.labels), sort_keys=True), given.added


def _of(table: sa.Table, account: Account) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.provider == account.provider, table.c.account == account.name


def _select_account(connection: Connection) -> sa.Select[tuple[float, float | None, str, float | None]]:
    """Return the question for an account; a file that can only be read may be of the first schema."""
    columns = {column["name"] for column in sa.inspect(connection).get_columns(ACCOUNTS.name)}
    if ACCOUNTS.c.share.name in columns:
        return sa.select(ACCOUNTS.c.opened, ACCOUNTS.c.position, ACCOUNTS.c.share, ACCOUNTS.c.adopted)
    alone, never = sa.literal(str(ALONE)).label("share"), sa.null().label("adopted")
    return sa.select(ACCOUNTS.c.opened, ACCOUNTS.c.position, alone, never)


@contextmanager
def _translated(url: sa.URL) -> Iterator[None]:
    """Turn what SQLAlchemy and the disk raise into our errors; passwords are left out of the message."""
    try:
        yield
    except (ValueError, TypeError, RecursionError) as error:
        # What was read is not what was written.
        raise DamagedError(f"{url.render_as_string(hide_password=True)}: {error}") from None
    except sa.exc.NoSuchTableError as error:
        raise DatabaseError(f"{url.render_as_string(hide_password=True)}: no such table: {error}") from None
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
    "Could not decode to UTF-8": DamagedError,
    "disk is full": FullError,
    "disk I/O error": FullError,
}
