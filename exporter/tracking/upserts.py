"""Writing rows so that later ones replace earlier ones, in SQLite or PostgreSQL."""

from collections.abc import Mapping, Sequence
from operator import itemgetter

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.sql.compiler import SQLCompiler

from exporter.model import Account


class Upserts:
    """The statements of one database, each compiled once."""

    def __init__(self, engine: Engine) -> None:
        self._dialect = engine.dialect
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._compiled: dict[sa.Table, SQLCompiler] = {}

    def write(
        self, connection: Connection, table: sa.Table, account: Account, rows: Sequence[Mapping[str, object]]
    ) -> None:
        """Write rows of one account, each with all columns but those that say which account it is."""
        if not rows:
            return
        if table not in self._compiled:
            self._compiled[table] = self._compile(table)
        compiled = self._compiled[table]
        named = [{"provider": account.provider, "account": account.name, **row} for row in rows]
        # By way of `execute`, SQLAlchemy takes as long over the parameters as SQLite over writing them.
        parameters = list(map(itemgetter(*compiled.positiontup), named)) if compiled.positiontup else named
        connection.exec_driver_sql(compiled.string, parameters)

    def _compile(self, table: sa.Table) -> SQLCompiler:
        statement = self._insert(table)
        update = {
            column.name: statement.excluded[column.name] for column in table.c if not column.primary_key
        }
        statement = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=update)
        return statement.compile(dialect=self._dialect)
