"""Qencode: what a completed job made, from the lists of outputs in its status. Pure functions."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from exporter.model import Media, MediaKind
from exporter.providers.amount import amount

MEGABYTE: Final = 1_000_000
"""Bytes in the unit of an output's `size`; Qencode's documentation says megabytes."""

LISTS: Final[Mapping[str, MediaKind]] = {
    "videos": MediaKind.VIDEO,
    "audios": MediaKind.AUDIO,
    "images": MediaKind.IMAGE,
    "texts": MediaKind.TEXT,
}
"""The kind of media that each list of a status holds."""


class _Output(msgspec.Struct):
    duration: object = None
    size: object = None


def media(lists: Mapping[str, object]) -> tuple[Media, ...]:
    """Add up the outputs of a status, by kind; what can't be read counts for nothing.

    Args:
        lists: The lists of outputs, by their names on the wire.
    """
    sums = []
    for name, kind in LISTS.items():
        outputs = list(_outputs(lists.get(name)))
        if outputs:
            seconds = sum(amount(output.duration) for output in outputs)
            size = sum(amount(output.size) for output in outputs)
            sums.append(Media(kind, seconds, size * MEGABYTE))
    return tuple(sums)


def _outputs(value: object) -> Iterable[_Output]:
    for output in value if isinstance(value, list) else ():
        if isinstance(output, dict):
            yield msgspec.convert(output, _Output)
