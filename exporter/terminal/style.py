"""The signs and colours of the states. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.model import State
from exporter.report.records import TaskRecord

# In the middle of the scale, to be read on a dark ground and on a light one; those of Grafana's dashboards.
COLOURS: Final[Mapping[State, str]] = {
    State.QUEUED: "#8ab8ff",
    State.RUNNING: "#5794f2",
    State.COMPLETED: "#73bf69",
    State.FAILED: "#f2495c",
    State.CANCELLED: "#8e8e8e",
    State.UNKNOWN: "#b877d9",
}
STALLED: Final = "#ff9830"
QUIET: Final = "dim"


@dataclass(frozen=True, slots=True)
class Signs:
    """What is drawn; each is one column wide, and tells without colour, too.

    Attributes:
        states: A sign for each state.
        stalled: For a task that is stalled.
        down: For what can't be asked.
        done: A piece of a bar that is done.
        half: Its half.
        rest: A piece that is not.
        gap: Stands for what is left out.
        dot: Between two things on a line.
        retries: The head of the column of retries.
    """

    states: Mapping[State, str]
    stalled: str
    down: str
    done: str
    half: str
    rest: str
    gap: str
    dot: str
    retries: str


UNICODE: Final = Signs(
    states={
        State.QUEUED: "○",
        State.RUNNING: "●",
        State.COMPLETED: "✓",
        State.FAILED: "✗",
        State.CANCELLED: "⊘",
        State.UNKNOWN: "?",
    },
    stalled="!",
    down="✗",
    done="━",
    half="╸",
    rest="─",
    gap="…",
    dot="·",
    retries="↻",
)

ASCII: Final = Signs(
    states={
        State.QUEUED: ".",
        State.RUNNING: ">",
        State.COMPLETED: "+",
        State.FAILED: "x",
        State.CANCELLED: "-",
        State.UNKNOWN: "?",
    },
    stalled="!",
    down="x",
    done="#",
    half="-",
    rest=".",
    gap="~",
    dot="-",
    retries="R",
)
"""For a terminal whose encoding has no others."""


def colour(task: TaskRecord) -> str:
    """Return the colour of a task."""
    return STALLED if task.stalled else COLOURS[task.state]


def sign(task: TaskRecord, signs: Signs) -> str:
    """Return the sign of a task."""
    return signs.stalled if task.stalled else signs.states[task.state]
