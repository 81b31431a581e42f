"""Livepeer Studio: what a completed task made, from its `output`. Pure functions."""

from typing import Final

import msgspec

from exporter.model import Media, MediaKind
from exporter.providers.amount import amount
from exporter.providers.decoding import decode


class _Track(msgspec.Struct):
    type: str = ""


class _Video(msgspec.Struct):
    duration: float = 0.0
    tracks: list[_Track] = []


class _Asset(msgspec.Struct):
    size: float = 0.0
    videoSpec: _Video | None = None  # noqa: N815 - the wire's name


class _Output(msgspec.Struct):
    assetSpec: _Asset | None = None  # noqa: N815


_outputs: Final = msgspec.json.Decoder(dict[str, _Output | None] | None)


def media(output: bytes | msgspec.Raw) -> tuple[Media, ...]:
    """Return the asset that a task made; what can't be read counts for nothing.

    The asset stands under the name of the task's type (`upload`, `import`, `clip`); other types make none.
    """
    try:
        outputs = decode(_outputs, output) or {}
    except msgspec.DecodeError:
        return ()
    for each in outputs.values():
        if each and each.assetSpec:
            return (_media(each.assetSpec),)
    return ()


def _media(asset: _Asset) -> Media:
    video = asset.videoSpec or _Video()
    tracks = {track.type for track in video.tracks}
    kind = MediaKind.AUDIO if tracks == {"audio"} else MediaKind.VIDEO
    return Media(kind, amount(video.duration), amount(asset.size))
