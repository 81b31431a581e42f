"""Qencode: which tokens to watch, which of them the API does not know, and how to show one in a text."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from exporter.model import OTHER, Clock, Observation
from exporter.providers.service import Label

UNKNOWN_RECHECK: Final = (60.0, 3600.0)
"""Seconds until a token that the API did not know is asked about again: at first, and at most."""

_TELLING: Final = 8
"""Characters of a token that tell which one it is, at the end of a text that was cut off."""


class Watched(Protocol):
    """What is known about a token before anybody is asked."""

    @property
    def since(self) -> float:
        """Since when it is watched (steady seconds)."""

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """The custom labels of its task, by name."""


class Tokens(Protocol):
    """Which tokens to watch."""

    def current(self) -> Mapping[str, Watched]:
        """Return every token; the very same object if nothing has changed since the last call."""

    @property
    def sources(self) -> Collection[str]:
        """The names of all sources."""

    @property
    def failures(self) -> Mapping[str, str]:
        """Why a source of tokens could not be read, by its name; its last good list stays."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A token that the API does not know.

    Attributes:
        since: Since when (monotonic seconds).
        wait: Seconds between the last recheck and the next.
        retry_at: When to ask again (monotonic seconds).
        alone: Whether it takes a whole batch of good tokens down with it.
    """

    since: float
    wait: float
    retry_at: float
    alone: bool


class UnknownTokens:
    """The tokens that the API does not know, and when to ask about them again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, Unknown] = {}

    @property
    def entries(self) -> Mapping[str, Unknown]:
        """All of them."""
        return self._entries

    def add(self, token: str, *, alone: bool) -> bool:
        """Note that the API does not know a token; return whether that is news."""
        now = self._clock.monotonic()
        first, longest = UNKNOWN_RECHECK
        before = self._entries.get(token)
        wait = min(2 * before.wait, longest) if before else first
        self._entries[token] = Unknown(before.since if before else now, wait, now + wait, alone)
        return before is None

    def discard(self, tokens: Iterable[str]) -> None:
        """Note that the API knows these tokens."""
        for token in tokens:
            self._entries.pop(token, None)

    def keep(self, tokens: Collection[str]) -> None:
        """Forget all other tokens."""
        self._entries = {token: entry for token, entry in self._entries.items() if token in tokens}

    def due(self, entry: Unknown) -> bool:
        """Return whether it is time to ask again."""
        return entry.retry_at <= self._clock.monotonic()


def veiled_status(seen: Observation, tokens: Iterable[str], label: Label) -> Observation:
    """Replace the tokens that a status repeats in its words; a phase that holds its token is `other`.

    A phase is lower case, and may have been cut off within the token like any other text.
    """
    if label(seen.task) == seen.task:
        return seen
    tells = veiled(seen.phase, (seen.task.lower(),), lambda _: "") != seen.phase
    return msgspec.structs.replace(
        seen,
        message=veiled(seen.message, tokens, label) if seen.message else "",
        phase=OTHER if tells else seen.phase,
    )


def veiled(text: str, tokens: Iterable[str], label: Label) -> str:
    """Replace the tokens that a text of the API repeats by what people may see of them.

    >>> veiled("bad: 63adfb01d408081b, 63adfb01d4", ["63adfb01d408081b"], lambda _: "4aa26a6d2a3b")
    'bad: 4aa26a6d2a3b, 4aa26a6d2a3b'
    """
    for token in tokens:
        shown = label(token)
        if shown == token:
            continue
        text = text.replace(token, shown)
        # The text may have been cut off in the middle of a token.
        for length in range(len(token) - 1, _TELLING - 1, -1):
            if text.endswith(token[:length]):
                text = text[:-length] + shown
                break
    return text
