"""Damaged ledgers that were set aside: kept beside the one in use, until somebody has looked into them."""

import threading
from datetime import datetime
from pathlib import Path
from typing import Final

IN_USE: Final = ("-wal", "-shm")
"""What SQLite adds to the name of a file for those that lie beside it while it is in use."""

COMPANIONS: Final = (*IN_USE, "")
"""The endings of all that belongs to a ledger, the file itself at last."""

_MARK: Final = "damaged-"


def suffix(at: datetime) -> str:
    """Return what is added to the name of a ledger that is set aside.

    >>> suffix(datetime(2026, 11, 21, 21, 0))
    'damaged-20261121T210000Z'
    """
    return f"{_MARK}{at:%Y%m%dT%H%M%SZ}"


class SetAside:
    """Counts the ledgers that were set aside, whoever did it and whenever. Safe for several threads."""

    def __init__(self, ledger: Path) -> None:
        """Look at nothing yet; `ledger` is the file in use."""
        self._folder = ledger.parent
        self._prefix = f"{ledger.name}.{_MARK}"
        self._lock = threading.Lock()
        self._last = 0

    def count(self) -> int:
        """Return how many lie beside the ledger now, or did when its folder could last be listed."""
        with self._lock:
            try:
                names = [path.name for path in self._folder.iterdir()]
            except FileNotFoundError:
                names = []
            except OSError:
                # Not to be listed for a moment is not to be gone: an alert must not end by it.
                return self._last
            self._last = len({_bare(name) for name in names if name.startswith(self._prefix)})
            return self._last


def _bare(name: str) -> str:
    """Return the name of the ledger that a file belongs to."""
    companion = next(one for one in COMPANIONS if name.endswith(one))
    return name.removesuffix(companion)
