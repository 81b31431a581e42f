"""What is counted: a transition adds to these counters, and to nothing else. Pure functions."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from exporter.model import FailureReason, State, Transition


class Tally(StrEnum):
    """A counter that outlives the tasks it counts."""

    PHASE_ENTRIES = "phase_entries"
    RETRIES = "retries"
    FAILURES = "failures"
    WARNINGS = "warnings"
    OUTPUT_SECONDS = "output_seconds"
    OUTPUT_BYTES = "output_bytes"
    DURATION = "duration"
    PHASE_DURATION = "phase_duration"


SUM: Final = "sum"
"""Stands for the sum of a histogram, where a bucket has its upper bound."""


class Count(NamedTuple):
    """Which counter of an account.

    Attributes:
        tally: What it counts.
        labels: Its labels behind the account's own. Those of a histogram end with the upper bound of one
            bucket, which holds what falls between the bound before and this one, or with `SUM`.
    """

    tally: Tally
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds of the histograms, in seconds, ascending; what exceeds the last one is in `+Inf`."""

    duration: tuple[float, ...]
    phase_duration: tuple[float, ...]


DEFAULT_BOUNDS: Final = (
    10.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1200.0,
    1800.0,
    3600.0,
    7200.0,
    14400.0,
    28800.0,
)
DEFAULT_BUCKETS: Final = Buckets(DEFAULT_BOUNDS, DEFAULT_BOUNDS)


def counts(transition: Transition, buckets: Buckets) -> Iterator[tuple[Count, float]]:
    """Yield what a transition adds to which counter."""
    seen = transition.after.seen
    task_type = seen.task_type
    if transition.entered:
        yield Count(Tally.PHASE_ENTRIES, (task_type, seen.phase, seen.state)), 1
        if seen.state is State.FAILED:
            yield Count(Tally.FAILURES, (task_type, seen.reason or FailureReason.UNKNOWN)), 1
        if seen.state is State.COMPLETED:
            yield from _media(transition)
    if transition.retries:
        yield Count(Tally.RETRIES, (task_type,)), transition.retries
    if transition.warnings:
        yield Count(Tally.WARNINGS, (task_type,)), transition.warnings
    if transition.duration is not None:
        labels = (task_type, str(seen.state))
        yield from observe(Tally.DURATION, labels, transition.duration, buckets.duration)
    if transition.phase_duration is not None and transition.before is not None:
        labels = (task_type, transition.before.seen.phase)
        yield from observe(Tally.PHASE_DURATION, labels, transition.phase_duration, buckets.phase_duration)


def observe(
    tally: Tally, labels: tuple[str, ...], seconds: float, bounds: Sequence[float]
) -> Iterator[tuple[Count, float]]:
    """Yield what one observation adds to a histogram: one to its bucket, and itself to the sum."""
    place = bisect_left(bounds, seconds)
    yield Count(tally, (*labels, bound_label(bounds[place] if place < len(bounds) else math.inf))), 1
    yield Count(tally, (*labels, SUM)), seconds


def bound_label(bound: float) -> str:
    """Write an upper bound as Prometheus does, in the label `le`."""
    return "+Inf" if bound == math.inf else repr(float(bound))


def _media(transition: Transition) -> Iterator[tuple[Count, float]]:
    seen = transition.after.seen
    for media in seen.media:
        labels = (seen.task_type, str(media.kind))
        if media.seconds:
            yield Count(Tally.OUTPUT_SECONDS, labels), media.seconds
        if media.bytes:
            yield Count(Tally.OUTPUT_BYTES, labels), media.bytes
