"""Writing rows so that later ones replace earlier ones, in SQLite or PostgreSQL."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from exporter.model import Account


class Upserts:
    """The statements of one database, each compiled once."""

    def __init__(self, engine: Engine) -> None:
        """Compile nothing yet; the engine's parameters have places instead of names."""
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._dialect = engine.dialect
        self._statements: dict[sa.Table, str] = {}

    def write(
        self, connection: Connection, table: sa.Table, account: Account, rows: Iterable[tuple[object, ...]]
    ) -> None:
        """Write rows of one account: the values of a table's columns, but for those of the account."""
        if table not in self._statements:
            self._statements[table] = self._compiled(table)
        if parameters := [(account.provider, account.name, *row) for row in rows]:
            # By way of `execute`, SQLAlchemy takes as long over the parameters as SQLite over writing them.
            connection.exec_driver_sql(self._statements[table], parameters)

    def _compiled(self, table: sa.Table) -> str:
        statement = self._insert(table)
        update = {
            column.name: statement.excluded[column.name] for column in table.c if not column.primary_key
        }
        statement = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=update)
        return str(statement.compile(dialect=self._dialect))
