"""What a colour means: the same on every panel of every dashboard.

Warm and loud is trouble, green is well. What is neither has a hue of its own, which no state has.
"""

from collections.abc import Mapping
from typing import Final

from exporter.model import State

STATES: Final[dict[str, str]] = {
    State.QUEUED: "#8AB8FF",
    State.RUNNING: "#3274D9",
    State.COMPLETED: "#56A64B",
    State.FAILED: "#E02F44",
    State.CANCELLED: "#8E8E8E",
    State.UNKNOWN: "#B877D9",
}
"""One colour for each state of a task."""

STALLED: Final = "#FF9830"
"""A task that does not move, and whatever else has waited for too long."""

GOOD: Final = STATES[State.COMPLETED]
BAD: Final = STATES[State.FAILED]
IDLE: Final = STATES[State.CANCELLED]
UNSURE: Final = STATES[State.UNKNOWN]
QUIET: Final = "text"
"""A number that is neither good nor bad; it follows the theme."""

PROVIDERS: Final[Mapping[str, str]] = {"qencode": "#14B8A6", "livepeer": "#E5C100"}
"""One hue for each provider; its accounts, endpoints and phases are shades of it."""

NEUTRAL: Final = "#C8A27C"
"""The hue of what is no state and no provider's."""

OUTCOMES: Final[Mapping[str, str]] = {
    "success": GOOD,
    "partial": "#FFA6B0",
    "error": BAD,
    "deadline": "#96121F",
    "skipped": IDLE,
}
"""How a poll ended: green came through, the redder the less, and grey was not tried."""

PERCENTILES: Final[Mapping[str, str]] = {"p50": "#E3CDB5", "p90": NEUTRAL, "p99": "#8F6A45"}
