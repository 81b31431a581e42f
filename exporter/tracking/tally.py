"""What is counted: a transition adds to these counters, and to nothing else. Pure functions."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from exporter.model import FailureReason, State, Transition


class Tally(StrEnum):
    """A counter that outlives the tasks it counts."""

    PHASE_ENTRIES = "phase_entries"
    RETRIES = "retries"
    FAILURES = "failures"
    WARNINGS = "warnings"


class Count(NamedTuple):
    """Which counter of an account: the tally and its labels behind the account's own."""

    tally: Tally
    labels: tuple[str, ...]


def counts(transition: Transition) -> Iterator[tuple[Count, int]]:
    """Yield what a transition adds to which counter."""
    seen = transition.after.seen
    task_type = seen.task_type
    if transition.entered:
        yield Count(Tally.PHASE_ENTRIES, (task_type, seen.phase, seen.state)), 1
        if seen.state is State.FAILED:
            yield Count(Tally.FAILURES, (task_type, seen.reason or FailureReason.UNKNOWN)), 1
    if transition.retries:
        yield Count(Tally.RETRIES, (task_type,)), transition.retries
    if transition.warnings:
        yield Count(Tally.WARNINGS, (task_type,)), transition.warnings
