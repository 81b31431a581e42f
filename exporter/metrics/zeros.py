"""What exists at 0 before it has happened: otherwise `increase()` would miss the first failure."""

from collections.abc import Iterator

from exporter.metrics.samples import Labels
from exporter.model import PHASES, TASK_TYPES, FailureReason, MediaKind, Provider, State
from exporter.tracking.tally import Tally


def known_counts(provider: Provider) -> Iterator[tuple[Tally, Labels]]:
    """Yield every counter and histogram of a provider that is known beforehand, with its labels.

    Of a histogram, the labels are those without the bound.
    """
    for task_type in TASK_TYPES[provider]:
        for phase, state in known_phases(provider):
            yield Tally.PHASE_ENTRIES, (task_type, phase, state)
        for phase in active_phases(provider):
            yield Tally.PHASE_DURATION, (task_type, phase)
        for state in (State.COMPLETED, State.FAILED, State.CANCELLED):
            yield Tally.DURATION, (task_type, state)
        for reason in FailureReason:
            yield Tally.FAILURES, (task_type, reason)
        for kind in MediaKind:
            yield Tally.OUTPUT_SECONDS, (task_type, kind)
            yield Tally.OUTPUT_BYTES, (task_type, kind)
        yield Tally.RETRIES, (task_type,)
        yield Tally.WARNINGS, (task_type,)


def known_phases(provider: Provider) -> Iterator[tuple[str, State]]:
    """Yield every documented phase with each state that a task can be in while it is in it."""
    for phase, state in PHASES[provider].items():
        yield phase, state
        if provider is Provider.QENCODE and not state.terminal:
            # A job can fail in any phase: `status: encoding, error: 1`.
            yield phase, State.FAILED


def active_phases(provider: Provider) -> Iterator[str]:
    """Yield the documented phases of tasks that have not ended."""
    return (phase for phase, state in PHASES[provider].items() if not state.terminal)
