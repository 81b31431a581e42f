"""Tells when two exporters write to the same file, where each overwrites the other's counters."""

import fcntl
import os
from pathlib import Path


class Claim:
    """The claim that one process has on a ledger's file, for as long as it lives.

    It is put on a file beside the ledger: closing any other handle of the ledger itself would let go of the
    locks that SQLite holds on it.
    """

    def __init__(self, ledger: Path) -> None:
        """Claim nothing yet."""
        self._path = ledger.with_name(f"{ledger.name}.lock")
        self._handle: int | None = None

    def take(self) -> bool:
        """Return whether nobody else has claimed the file; true if that can't be told."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError:
            os.close(handle)
            return True
        self._handle = handle
        return True

    def drop(self) -> None:
        """Let go of it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
