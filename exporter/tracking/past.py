"""Since when tokens have been watched, handed on when a reload makes new sources of them."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Past(NamedTuple):
    """Since when what is watched on has been watched (steady seconds).

    Attributes:
        tokens: By token.
        sources: By the name of a source that has not answered yet: since when its tokens count as watched.
    """

    tokens: Mapping[str, float] = MappingProxyType({})
    sources: Mapping[str, float] = MappingProxyType({})

    def of(self, names: Collection[str]) -> "Past":
        """Return what is the past of sources with these names.

        Where one that never answered is gone, somebody has mended a mistake: others bring its tokens.
        """
        lost = [since for name, since in self.sources.items() if name not in names]
        heirs = dict.fromkeys(names, min(lost)) if lost else {}
        return Past(self.tokens, {**heirs, **self.sources})


NO_PAST: Final = Past()
