"""Observation + knowledge → transition. Pure functions: no clock, no network, nothing kept.

An *attempt* at a task begins when the task is created, when the provider retries it, and when a person
retries it by hand. A task enters a phase once an attempt: so a task that fails, is retried by hand and
fails again has failed twice, though nobody may have looked in between.

No time of the provider is ever compared with one of ours: the clocks differ, and either may step. What is
compared is the *age* of what an answer says, by the clock of the answer itself.
"""

import math
from dataclasses import dataclass

from exporter.model import Observation, State, Task, Transition


@dataclass(frozen=True, slots=True)
class Moment:
    """When an observation was made.

    Attributes:
        steady: Seconds of the exporter's steady clock.
        page: The same moment by the clock that dates the observation: the provider's, or the steady one.
    """

    steady: float
    page: float

    def age(self, seen: Observation) -> float:
        """Return for how many seconds, at least, the task has been in the state that was seen."""
        return max(0.0, self.page - seen.dated)


@dataclass(frozen=True, slots=True)
class _Retries:
    """How the provider's count of retries went on: its number now, and how many are new."""

    now: int | None
    new: int


def advance(
    before: Task | None, seen: Observation, now: Moment, opened: float, adopted: float = -math.inf
) -> Transition | None:
    """Return the step that an observation makes; None if it tells nothing new.

    Args:
        before: What is known about the task.
        seen: What an answer said.
        now: When.
        opened: When the account was first watched (steady seconds). A task that had ended by then is
            history: it is known, and counts for nothing.
        adopted: A task that was there by then has been counted by another exporter (steady seconds).
    """
    if before is None:
        return _begin(seen, now, max(opened, adopted), adopted=_was_there(seen, now, adopted))
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
        changed=max(before.changed, _change(seen, now)) if changed else before.changed,
        ended=_end(before, now, entered=entered) if seen.state.terminal else None,
        begun=before.begun,
        entered=_clock(seen, now) if entered else before.entered,
        history=before.history and not entered,
    )
    return Transition(
        before,
        after,
        entered,
        retries.new,
        max(0, seen.warnings - old.warnings),
        duration=_duration(after, now) if entered else None,
        phase_duration=_span(before.entered, after.entered) if entered else None,
    )


def _was_there(seen: Observation, now: Moment, moment: float) -> bool:
    """Whether a task was there at a moment (steady seconds)."""
    age = now.page - (seen.dated if seen.created is None else seen.created)
    return max(0.0, age) >= now.steady - moment


def _begin(seen: Observation, now: Moment, opened: float, *, adopted: bool) -> Transition:
    age = now.age(seen)
    history = seen.state.terminal and age >= now.steady - opened
    ended = None
    if seen.state.terminal:
        # History that has a date of its own is not news: it must not look as if it had just ended.
        ended = now.steady - age if history and seen.finished is not None else now.steady
    begun = seen.created
    if begun is None and seen.state is State.QUEUED and not adopted:
        begun = _clock(seen, now)
    after = Task(
        seen=seen,
        retries=seen.retries,
        changed=_change(seen, now),
        ended=ended,
        begun=begun,
        entered=_entered_at_first_sight(seen, now, adopted=adopted),
        history=history,
    )
    if history or (adopted and not seen.state.terminal):
        return Transition(None, after, entered=False, retries=0, warnings=0)
    if adopted:
        # It ended after it was adopted; of its retries nobody can tell when they were.
        return Transition(None, after, entered=True, retries=0, warnings=0, duration=_duration(after, now))
    return Transition(
        None,
        after,
        entered=True,
        retries=seen.retries or 0,
        warnings=seen.warnings,
        duration=_duration(after, now),
    )


def _outdated(seen: Observation, old: Observation) -> bool:
    """Whether the answer is older than what is known: replicas lag, and answers overtake each other."""
    return seen.updated is not None and old.updated is not None and seen.updated < old.updated


def _started_again(seen: Observation, old: Observation) -> bool:
    """Whether somebody retried the task by hand: Livepeer then schedules it anew (a new scheduledAt)."""
    return seen.scheduled is not None and old.scheduled is not None and seen.scheduled > old.scheduled


def _retries(before: Task, seen: Observation, *, again: bool) -> _Retries:
    old = before.seen
    # Where the provider dropped its number at an end (Livepeer completes a task with a bare status), it
    # counts from 0 again if the task comes back; of an active task, a missing number is only missing. A
    # number that went down tells that there was such an end, though nobody saw it.
    known = before.retries or 0
    went_down = seen.retries is not None and seen.retries < known
    fresh = again or went_down or (old.state.terminal and old.retries is None)
    base = 0 if fresh else known
    if seen.retries is None:
        return _Retries(0 if again and before.retries is not None else before.retries, 0)
    return _Retries(seen.retries, max(0, seen.retries - base))


def _change(seen: Observation, now: Moment) -> float:
    """Return when a change that is seen now happened, in steady seconds."""
    return now.steady if seen.updated is None else now.steady - now.age(seen)


def _clock(seen: Observation, now: Moment) -> float:
    """Return the time of a change by the clock that dates the task."""
    return now.steady if seen.updated is None else seen.updated


def _entered_at_first_sight(seen: Observation, now: Moment, *, adopted: bool) -> float | None:
    """Return when a new task entered its phase, if that can be told: a progress report hides it."""
    if seen.updated is None:
        return now.steady if seen.state is State.QUEUED and not adopted else None
    return seen.updated if seen.updated in (seen.created, seen.scheduled) else None


def _end(before: Task, now: Moment, *, entered: bool) -> float:
    return now.steady if entered or before.ended is None else before.ended


def _duration(after: Task, now: Moment) -> float | None:
    """Return the seconds from creation to the end of a task that has just ended."""
    if not after.seen.state.terminal:
        return None
    return _span(after.begun, now.steady if after.seen.finished is None else after.seen.finished)


def _span(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)
