"""What the poller expects of a provider, and what a provider may expect of its surroundings."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from exporter.model import Account, Endpoint, ErrorReason, Observation, Task

Label = Callable[[str], str]
"""Turns a task's id into what people may see of it (configuration: `metrics.task_label`)."""


class ApiError(Exception):
    """A request that brought nothing usable.

    Attributes:
        reason: Its class, as counted.
        endpoint: What was asked.
        status: The HTTP status; None if there was no answer.
        retry_after: Seconds that the provider asks us to wait; None if it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: ErrorReason,
        endpoint: Endpoint,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.endpoint = endpoint
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer brought.

    Attributes:
        observations: What was said about tasks, in the order of the answer.
        position: How far the account has been read (seconds, the provider's clock); None if unchanged.
        at: When it came, by the clock that dates the observations; None for the steady clock.
    """

    observations: tuple[Observation, ...]
    position: float | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """Tasks that there is nothing more to say about: deleted, or no longer watched."""

    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part of a poll that did not come."""

    error: ApiError


Part = Page | Gone | Trouble
"""A part of a poll; each can be used on its own."""


class Known(Protocol):
    """What a provider may read of what is known about its account."""

    @property
    def position(self) -> float | None:
        """How far the account has been read; None before the first page."""

    @property
    def tasks(self) -> Collection[str]:
        """The ids of all tasks that are remembered."""

    @property
    def active(self) -> Mapping[str, Task]:
        """The tasks that have not ended, by id."""

    def task(self, task_id: str) -> Task | None:
        """Return what is known about a task."""

    def ended_before(self, moment: float, most: int) -> tuple[str, ...]:
        """Return at most so many tasks that ended before a moment (steady seconds), the oldest first."""


class RequestTelemetry(Protocol):
    """Where requests are counted."""

    def requested(self, account: Account, endpoint: Endpoint, code: str, seconds: float) -> None:
        """Count a request and its latency; `code` is the HTTP status or `none`."""

    def failed(self, account: Account, endpoint: Endpoint, reason: ErrorReason) -> None:
        """Count an error by its reason."""


class TokenTelemetry(Protocol):
    """Where it is told how the tokens are."""

    def unknown_tokens(self, account: Account, tokens: Collection[str]) -> None:
        """Tell the tokens that the API does not know at present."""

    def token_sources(self, account: Account, good: Mapping[str, bool]) -> None:
        """Tell of each source of tokens whether it could be read."""


class Service(Protocol):
    """One account at one provider."""

    @property
    def account(self) -> Account:
        """Whose tasks these are."""

    @property
    def pause(self) -> float:
        """Seconds for which the provider wants no request; 0 if it may be asked."""

    def poll(self, known: Known) -> Iterator[Part]:
        """Ask once, and yield each part as soon as it is there. Raises nothing but bugs."""

    def close(self) -> None:
        """Close the connections."""
