"""Which tasks an exporter takes over from others, when they are shared out anew."""

import math
from dataclasses import dataclass
from typing import Final

from exporter.model import Observation
from exporter.sharding import Share


@dataclass(frozen=True, slots=True)
class Adoption:
    """Which of the tasks that are new to an exporter are not new.

    They are *adopted*: they are known, and what happened to them until then counts for nothing, because the
    exporter that watched them has counted it.

    Attributes:
        before: The tasks that were there by then are adopted (steady seconds).
        but: Except those in this part of the account, which the exporter has watched itself.
    """

    before: float = -math.inf
    but: Share | None = None

    def moment(self, seen: Observation) -> float:
        """Return the moment by which an unknown task must have been there to be adopted (steady seconds)."""
        watched = self.but is not None and self.but.holds(seen.task, seen.task_type)
        return -math.inf if watched else self.before


NONE: Final = Adoption()
"""Nothing is taken over from anybody."""
