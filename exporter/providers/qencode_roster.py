"""Qencode: which tokens are due, and which tasks have lost their token.

Of 100,000 watched tokens 200 may be active: a poll must not look at each. So all are compared only when the
list of tokens is another one; in between, only those are looked at that could have changed.
"""

from collections.abc import Iterable, Iterator, Mapping

from exporter.providers.qencode_tokens import Watched
from exporter.providers.service import Known


class Roster:
    """The watched tokens, compared with what is known."""

    def __init__(self) -> None:
        self._watched: Mapping[str, Watched] = {}
        self._unanswered: dict[str, None] = {}
        self._left: dict[str, float] = {}

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
