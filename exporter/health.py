"""How the polls of an account have gone."""

from dataclasses import dataclass, replace
from typing import Final

from exporter.model import Endpoint, ErrorReason, Outcome

MAX_ERRORS: Final = 5
"""Different errors of a poll that are kept."""


@dataclass(frozen=True, slots=True)
class HealthError:
    """What requests of a poll failed of.

    Attributes:
        endpoint: What was asked.
        reason: The class of the error.
        message: The error in words.
        times: How many requests failed so.
    """

    endpoint: Endpoint
    reason: ErrorReason
    message: str
    times: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the polls of an account have gone; the times are seconds since the epoch.

    Attributes:
        up: Whether the last one worked; None before the first has ended.
        since: Since when it is so.
        outcome: How the last one ended.
        polled: When.
        seconds: How long it took.
        succeeded: When a poll last brought everything.
        errors: What the last one failed of, at most `MAX_ERRORS`.
    """

    up: bool | None = None
    since: float | None = None
    outcome: Outcome | None = None
    polled: float | None = None
    seconds: float | None = None
    succeeded: float | None = None
    errors: tuple[HealthError, ...] = ()

    def late(self, at: float) -> "Health":
        """Return how it is once a poll is not over at the deadline of a scrape."""
        return replace(
            self, up=False, since=at if self.up is not False else self.since, outcome=Outcome.DEADLINE
        )

    def after(
        self, outcome: Outcome, *, at: float, seconds: float, errors: tuple[HealthError, ...] = ()
    ) -> "Health":
        """Return how it is after a poll."""
        up = outcome in (Outcome.SUCCESS, Outcome.PARTIAL)
        return Health(
            up=up,
            since=at if self.up is not up else self.since,
            outcome=outcome,
            polled=at,
            seconds=seconds,
            succeeded=at if outcome is Outcome.SUCCESS else self.succeeded,
            errors=errors[:MAX_ERRORS],
        )
