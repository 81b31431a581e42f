"""With which status the commands end. Pure."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from exporter.model import State
from exporter.report.records import AccountRecord
from exporter.terminal.source import Look


class Exit(IntEnum):
    """The exit status of `tasks` and `wait`; a Ctrl-C is 130, as shells have it."""

    FINE = 0
    UNASKED = 1
    FAILED = 2
    CANCELLED = 3
    TIMEOUT = 4


UNKNOWN: Final = 3
"""The exit status of Nagios' plugins if they could not look; 1 warns, as of an account that is down."""


OUTCOMES: Final = {
    State.COMPLETED: Exit.FINE,
    State.FAILED: Exit.FAILED,
    State.CANCELLED: Exit.CANCELLED,
}
"""What the states in which a task ends mean to who waited for it."""


def unasked(accounts: Iterable[AccountRecord]) -> list[AccountRecord]:
    """Return the accounts of which nobody knows how they are: down, or not yet asked."""
    return [account for account in accounts if account.up is not True]


def verdict(look: Look) -> Exit:
    """Return how all is. What failed is known to have failed, whatever else could not be asked."""
    if look.urgent:
        return Exit.FAILED
    return Exit.UNASKED if unasked(look.accounts) else Exit.FINE
