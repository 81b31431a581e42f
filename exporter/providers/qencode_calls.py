"""Qencode: one call of `/v1/status`, and how tokens are divided into calls."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from exporter.model import Endpoint

BATCH: Final = 100
"""Tokens in one call; the vendor names no limit, and this keeps the form under 4 KiB."""


@dataclass(frozen=True, slots=True)
class Call:
    """One POST: some tokens, asked at one place."""

    url: str
    endpoint: Endpoint
    tokens: tuple[str, ...]


def batches(url: str, endpoint: Endpoint, tokens: Iterable[str]) -> Iterator[Call]:
    """Yield the calls that ask about all tokens at one place."""
    rest = iter(tokens)
    while batch := tuple(islice(rest, BATCH)):
        yield Call(url, endpoint, batch)
