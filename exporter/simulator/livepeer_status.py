"""How a Livepeer task changes, as observed on the vendor's server: its status is replaced whole each time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

MAX_RETRIES = 2
# Seconds between a failure and the next try, first and second (the vendor's scheduler).
RETRY_PAUSES = (30.0, 180.0)


class LivepeerEvent(Enum):
    """What happens to a task."""

    SCHEDULED = auto()
    PROGRESS = auto()
    WILL_RETRY = auto()
    RESUMED = auto()
    FAILED = auto()
    COMPLETED = auto()
    CANCELLED = auto()
    RETRIED_BY_HAND = auto()
    REPLACED = auto()
    DELETED = auto()


@dataclass(frozen=True, slots=True)
class LivepeerChange:
    """One event in a task's script.

    Attributes:
        after: Seconds after the task was created.
        event: What happens.
        progress: With PROGRESS, 0 to 1 as the runner sends it; None if it sends none.
        message: With WILL_RETRY and FAILED, the error message.
        output: With COMPLETED, the task's output.
        status: With REPLACED, the whole new status, as it is.
        late: Seconds for which readers do not see the change although its time is the earlier one.
    """

    after: float
    event: LivepeerEvent
    progress: float | None = None
    message: str = ""
    output: Mapping[str, Any] | None = None
    status: Mapping[str, Any] | None = None
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class LivepeerStep:
    """The part of a task that changes, from a moment on.

    Attributes:
        at: Seconds since the epoch of the change.
        status: The `status` object.
        scheduled_at: `scheduledAt` in milliseconds; None if never scheduled.
        output: The `output` object; None if there is none.
        deleted: Whether the task is marked as deleted.
        late: Seconds after `at` for which readers still see the step before.
    """

    at: float
    status: Mapping[str, Any]
    scheduled_at: int | None = None
    output: Mapping[str, Any] | None = None
    deleted: bool = False
    late: float = 0.0

    @property
    def updated_at(self) -> int:
        """`status.updatedAt` in milliseconds."""
        return int(self.status["updatedAt"])


def created(at: float, late: float = 0.0) -> LivepeerStep:
    """Return the first step of a task."""
    return LivepeerStep(at, _status("pending", at), late=late)


def changed(step: LivepeerStep, at: float, change: LivepeerChange) -> LivepeerStep:
    """Return what a change makes of a task.

    Args:
        step: The task before.
        at: Seconds since the epoch of the change.
        change: What happens; its `after` does not matter here.

    Raises:
        ValueError: If Livepeer never does this, e.g. a third retry.
    """
    after = replace(step, at=at, late=change.late)
    match change.event:
        case LivepeerEvent.SCHEDULED | LivepeerEvent.RETRIED_BY_HAND:
            return replace(after, status=_status("waiting", at, retries=0), scheduled_at=milliseconds(at))
        case LivepeerEvent.COMPLETED:
            output = step.output if change.output is None else change.output
            return replace(after, status=_status("completed", at), output=output)
        case LivepeerEvent.DELETED:
            # Deletion does not touch updatedAt on the vendor's server.
            return replace(after, deleted=True)
        case LivepeerEvent.REPLACED:
            return replace(after, status={"updatedAt": milliseconds(at)} | dict(change.status or {}))
        case _:
            return replace(after, status=_carried_on(step.status.get("retries"), at, change))


def _carried_on(retries: int | None, at: float, change: LivepeerChange) -> dict[str, Any]:
    """Return the status after a change that keeps count of the retries."""
    match change.event:
        case LivepeerEvent.PROGRESS:
            return _status("running", at, retries=retries, progress=change.progress)
        case LivepeerEvent.WILL_RETRY if (retries or 0) >= MAX_RETRIES:
            raise ValueError(f"Livepeer retries a task at most {MAX_RETRIES} times")
        case LivepeerEvent.WILL_RETRY:
            return _status("waiting", at, retries=(retries or 0) + 1, message=change.message)
        case LivepeerEvent.RESUMED:
            return _status("waiting", at, retries=retries)
        case LivepeerEvent.FAILED:
            return _status("failed", at, retries=retries, message=change.message)
        case _:
            return _status("cancelled", at)


def milliseconds(at: float) -> int:
    """Return seconds since the epoch as Livepeer's integer milliseconds."""
    return round(at * 1000)


def _status(
    phase: str,
    at: float,
    *,
    retries: int | None = None,
    progress: float | None = None,
    message: str | None = None,
) -> dict[str, Any]:
    """Return a status object: absent fields are absent, in the order in which PostgreSQL keeps them."""
    fields = {
        "phase": phase,
        "retries": retries,
        "progress": _number(progress),
        "updatedAt": milliseconds(at),
        "errorMessage": message,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _number(value: float | None) -> float | int | None:
    """JavaScript writes 1.0 as 1."""
    return int(value) if value is not None and value == int(value) else value
