"""Qencode: which tokens are due, and which tasks have lost their token.

Of 100,000 watched tokens 200 may be active: a poll must not look at each. So all are compared only when the
list of tokens is another one; in between, only those are looked at that could have changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from exporter.providers.qencode_tokens import Watched
from exporter.providers.service import Known

ENDED_KEPT: Final = 20 * 3600.0
"""Seconds for which an ended task is remembered after its token left: a source that loses its list for a
while must not have its tasks counted twice. They begin anew at each start, because nothing that is stored
tells when a token left: so they are less than a day, for an exporter that is restarted daily."""


class Roster:
    """The watched tokens, compared with what is known."""

    def __init__(self, left: Mapping[str, float] = MappingProxyType({})) -> None:
        """Know nothing yet, but which tokens had left before a reload, and since when."""
        self._watched: Mapping[str, Watched] = {}
        self._unanswered: dict[str, None] = {}
        self._left = left

    def update(self, watched: Mapping[str, Watched], known: Known, now: float) -> None:
        """Take in the tokens of this poll; the same object as before says that none has come or gone."""
        if watched is not self._watched:
            self._watched = watched
            self._unanswered = dict.fromkeys(token for token in watched if token not in known.tasks)
            self._left = {token: self._left.get(token, now) for token in known.tasks if token not in watched}
        else:
            self._unanswered = {token: None for token in self._unanswered if token not in known.tasks}
            self._left = {token: since for token, since in self._left.items() if token in known.tasks}

    @property
    def left(self) -> Mapping[str, float]:
        """Known tasks whose token is watched no longer, and since when (monotonic seconds)."""
        return self._left

    def due(self, known: Known) -> Iterator[str]:
        """Yield the tokens whose tasks have not ended, as far as is known."""
        # In a lasting order, so that the same tokens make the same batches.
        yield from sorted(known.active.keys() & self._watched.keys())
        yield from self._unanswered

    def forgotten(self, tokens: Iterable[str]) -> None:
        """Note that nothing will be known about these tasks any more, though their token may stay."""
        self._unanswered.update((token, None) for token in tokens if token in self._watched)
