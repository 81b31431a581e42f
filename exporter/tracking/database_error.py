"""What can be wrong with the ledger's database."""


class DatabaseError(RuntimeError):
    """The database can't be used; the message says why and how to mend it."""


class DamagedError(DatabaseError):
    """The file of the database is damaged."""


class FullError(DatabaseError):
    """There is no room to write."""


class NewerSchemaError(DatabaseError):
    """The database was written by a newer version of the exporter."""
