"""How fast the libraries for gzip pack our text, and how small; each against zlib, one after the other."""

import time
import zlib
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Final

from prometheus_client import CollectorRegistry

from benchmarks.figures import Figure, Unit, alone, at_least, compared, pairs
from benchmarks.rendering import SERIES_A_TASK, TEXT, World
from benchmarks.scale import Scale
from exporter.metrics.exposition import Exposition

_GZIP: Final = 31
_FAST: Final = 1

_LIBRARIES: Final = (
    ("zlib", 1),
    ("zlib", 6),
    ("isal.isal_zlib", 1),
    ("isal.isal_zlib", 2),
    ("zlib_ng.zlib_ng", 1),
)
"""Modules that look like zlib, and levels of theirs."""


def measure(scale: Scale) -> Iterator[Figure]:
    """Pack a scrape, piece by piece as the exporter does."""
    world = World(round(scale.series / SERIES_A_TASK), seed=0)
    pieces = [piece.text for piece in Exposition(world.picture, CollectorRegistry()).render(TEXT).pieces]
    whole = sum(map(len, pieces))
    yield alone("gzip", f"text of {scale.series:,} series", Unit.BYTES, [whole])
    for name, level in _LIBRARIES:
        if (library := _found(name)) is None:
            continue
        seconds = pairs(
            lambda: _seconds(library, level, pieces),  # noqa: B023 - called at once
            lambda: _seconds(zlib, _FAST, pieces),
            scale.rounds,
        )
        what = f"{name.partition('.')[0]}, level {level}"
        yield compared("gzip", f"{what}: time, against zlib at level 1", Unit.SECONDS, seconds, at_least())
        yield alone("gzip", f"{what}: size", Unit.BYTES, [len(_packed(library, level, pieces))])


def _found(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


def _seconds(library: ModuleType, level: int, pieces: Sequence[bytes]) -> float:
    started = time.process_time()
    _packed(library, level, pieces)
    return time.process_time() - started


def _packed(library: ModuleType, level: int, pieces: Sequence[bytes]) -> bytes:
    packer = library.compressobj(level, wbits=_GZIP)
    return b"".join([*map(packer.compress, pieces), packer.flush()])
