"""Where knowledge is kept. A change is committed first and becomes visible afterwards."""

from typing import Protocol

from exporter.model import Account
from exporter.tracking.knowledge import Change, Knowledge


class Ledger(Protocol):
    """Remembers the knowledge of every account."""

    def recall(self, account: Account, now: float) -> Knowledge:
        """Return what is remembered of an account; if it is a new one, it is first watched now."""

    def commit(self, change: Change) -> None:
        """Remember a change, whole or not at all."""


class MemoryLedger:
    """Remembers for as long as the process lives: the knowledge itself is all there is."""

    def recall(self, account: Account, now: float) -> Knowledge:
        """Return empty knowledge."""
        return Knowledge(account, opened=now)

    def commit(self, change: Change) -> None:
        """Do nothing: what becomes visible next is what is remembered."""
