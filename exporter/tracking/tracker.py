"""Observation + knowledge → transition. Pure functions: no clock, no network, nothing kept.

An *attempt* at a task begins when the task is created, when the provider retries it, and when a person
retries it by hand. A task enters a phase once an attempt: so a task that fails, is retried by hand and
fails again has failed twice, though nobody may have looked in between.
"""

from dataclasses import dataclass

from exporter.model import Observation, Task, Transition


@dataclass(frozen=True, slots=True)
class _Retries:
    """How the provider's count of retries went on: its number now, and how many are new."""

    now: int | None
    new: int


def advance(before: Task | None, seen: Observation, now: float, opened: float) -> Transition | None:
    """Return the step that an observation makes; None if it tells nothing new.

    Args:
        before: What is known about the task.
        seen: What an answer said.
        now: The exporter's time (seconds since the epoch).
        opened: When the account was first watched. A task that had ended by then is history: it is known,
            and counts for nothing.
    """
    if before is None:
        return _begin(seen, now, opened)
    old = before.seen
    if seen == old or _outdated(seen, old):
        return None
    again = _started_again(seen, old)
    retries = _retries(before, seen, again=again)
    entered = (seen.phase, seen.state) != (old.phase, old.state) or again or retries.new > 0
    changed = entered or seen.progress != old.progress
    after = Task(
        seen=seen,
        retries=retries.now,
        changed=_moment(seen, now) if changed else before.changed,
        ended=(now if entered or before.ended is None else before.ended) if seen.state.terminal else None,
    )
    return Transition(before, after, entered, retries.new, max(0, seen.warnings - old.warnings))


def _begin(seen: Observation, now: float, opened: float) -> Transition:
    history = seen.state.terminal and seen.dated <= opened
    ended = None
    if seen.state.terminal:
        # History that has a date of its own is not news: it must not look as if it had just ended.
        ended = seen.finished if history and seen.finished is not None else now
    after = Task(seen=seen, retries=seen.retries, changed=_moment(seen, now), ended=ended)
    if history:
        return Transition(None, after, entered=False, retries=0, warnings=0)
    return Transition(None, after, entered=True, retries=seen.retries or 0, warnings=seen.warnings)


def _outdated(seen: Observation, old: Observation) -> bool:
    """Whether the answer is older than what is known: replicas lag, and answers overtake each other."""
    return seen.updated is not None and old.updated is not None and seen.updated < old.updated


def _started_again(seen: Observation, old: Observation) -> bool:
    """Whether somebody retried the task by hand: Livepeer then schedules it anew (a new scheduledAt)."""
    return seen.scheduled is not None and old.scheduled is not None and seen.scheduled > old.scheduled


def _retries(before: Task, seen: Observation, *, again: bool) -> _Retries:
    old = before.seen
    # Where the provider dropped its number at an end (Livepeer completes a task with a bare status), it
    # counts from 0 again if the task comes back; of an active task, a missing number is only missing.
    fresh = again or (old.state.terminal and old.retries is None)
    base = 0 if fresh else before.retries or 0
    if seen.retries is None:
        return _Retries(0 if again and before.retries is not None else before.retries, 0)
    return _Retries(seen.retries, max(0, seen.retries - base))


def _moment(seen: Observation, now: float) -> float:
    return now if seen.updated is None else seen.updated
