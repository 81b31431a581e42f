"""The records as a program reads them: nothing is shortened, and nothing depends on the terminal. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from exporter.model import State
from exporter.report.records import TaskRecord
from exporter.terminal.exits import Exit, unasked, verdict
from exporter.terminal.source import Look, SourceError, urgent
from exporter.terminal.text import percent, visible, visible_json

COLUMNS: Final = (
    "PROVIDER",
    "ACCOUNT",
    "TASK",
    "TYPE",
    "STATE",
    "PHASE",
    "PROGRESS",
    "RETRIES",
    "STALLED",
    "CHANGED",
    "REASON",
    "MESSAGE",
    "CREATED",
)
"""The columns of the table, of which there may come more at the end only."""

_NONE: Final = "-"
_WORDS: Final = {Exit.FINE: "OK", Exit.UNASKED: "WARNING", Exit.FAILED: "CRITICAL"}


def table(look: Look) -> str:
    """Return the tasks as lines of columns that tabs part, under a line with their names."""
    return "\n".join(["\t".join(COLUMNS), *map(_row, look.tasks)])


def document(look: Look) -> str:
    """Return the tasks as a list in JSON, on one line."""
    return visible_json(msgspec.json.encode(look.tasks))


def summary(look: Look) -> str:
    """Return one line as Nagios' plugins write it: how all is, then the counts behind a bar.

    Args:
        look: All tasks that were asked for.
    """
    counted = Counter(task.state for task in look.tasks)
    counted[State.FAILED] = sum(task.state is State.FAILED and urgent(task) for task in look.tasks)
    stalled, down = sum(task.stalled for task in look.tasks), len(unasked(look.accounts))
    told = [
        f"{counted[State.FAILED]} failed",
        f"{stalled} stalled",
        f"{counted[State.RUNNING]} running",
        f"{counted[State.QUEUED]} queued",
    ]
    if down:
        told.append(f"{down} of {len(look.accounts)} accounts down")
    if look.part:
        told.append(f"of {look.part} only")
    numbers = {str(state): counted[state] for state in State}
    numbers |= {"stalled": stalled, "accounts_down": down}
    performance = " ".join(f"{name}={number}" for name, number in numbers.items())
    return f"TRANSCODING {_WORDS[verdict(look)]}: {', '.join(told)} | {performance}"


def unknown(error: SourceError) -> str:
    """Return the line that stands in for the summary if nobody could be asked."""
    return f"TRANSCODING UNKNOWN: {visible(str(error))}"


def moment(at: datetime) -> str:
    """Return a moment in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def row(values: Sequence[str]) -> str:
    """Return values as a line of columns; what is empty shows as a dash, so that none is skipped."""
    return "\t".join(visible(value) or _NONE for value in values)


def _row(task: TaskRecord) -> str:
    return row(
        (
            task.provider,
            task.account,
            task.task,
            task.task_type,
            task.state,
            task.phase,
            percent(task.progress),
            "" if task.retries is None else str(task.retries),
            "yes" if task.stalled else "no",
            moment(task.changed),
            task.reason or "",
            task.message,
            moment(task.created) if task.created else "",
        )
    )
