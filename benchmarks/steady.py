"""Part b: a steady scrape must cost what changes, not what is known.

Exporters that track ten times as many tasks, one of the other, are scraped in turn; as many tasks of each are
active, and as many change in between. Each has services of its own, over real HTTP.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.figures import Figure, below
from benchmarks.processes import Served, livepeer, qencode, serving
from benchmarks.provider import Provider, Work, providing
from benchmarks.remembered import remember
from benchmarks.scale import Scale
from benchmarks.scrapes import UNITS, Cost, costs, scrape
from benchmarks.tasks import VOD

ACTIVE: Final = 200
CHANGING: Final = 50
LIMIT: Final = 1.3
"""By less than this may a scrape cost more, whatever is tracked."""

WARM_UP: Final = 4
"""Scrapes until all active tasks have changed once."""

_PROVIDERS: Final = {
    "both providers": ("livepeer", "qencode"),
    "Livepeer alone": ("livepeer",),
    "Qencode alone": ("qencode",),
}


class _Side:
    """An exporter, and the services that it watches."""

    def __init__(self, tracked: int, names: Sequence[str], stack: ExitStack) -> None:
        ended = (tracked - ACTIVE) // len(names)
        active = ACTIVE // len(names)
        has_livepeer, has_qencode = "livepeer" in names, "qencode" in names
        work = Work(ended * has_livepeer, active * has_livepeer, active * has_qencode)
        self._provider: Provider = stack.enter_context(providing(work))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        addresses, accounts = self._provider.addresses, []
        if has_livepeer:
            accounts.append(livepeer(addresses))
        if has_qencode:
            known = remember(folder / "ledger.db", {VOD: ended})[VOD]
            tokens = folder / "tokens.json"
            tokens.write_text(json.dumps([{"targets": [*known, *addresses.tokens]}]))
            accounts.append(qencode(addresses, tokens))
        poll = {"min_poll_interval": "0s", "timeout": "60s"}
        self._served: Served = stack.enter_context(serving(folder, *accounts, poll=poll))

    def scrape(self) -> Cost:
        """Let tasks change, and scrape."""
        return scrape(self._served, self._provider, CHANGING)


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure with both providers; at full scale, with each alone as well."""
    for title, names in _PROVIDERS.items():
        if scale.each_provider or len(names) > 1:
            yield from _measure(title, names, scale)


def _measure(title: str, names: Sequence[str], scale: Scale) -> Iterator[Figure]:
    with ExitStack() as stack:
        sides = [_Side(tracked, names, stack) for tracked in scale.tracked]
        for _ in range(WARM_UP):
            for side in sides:
                side.scrape()
        rounds = [[side.scrape() for side in sides] for _ in range(2 * scale.rounds)]
    columns = list(zip(*rounds, strict=True))
    for (fewer, few), (more, many) in pairwise(zip(scale.tracked, columns, strict=True)):
        what = f"steady scrape, {title}, {more:,} tracked tasks, against {fewer:,}"
        yield from costs("b", what, list(zip(many, few, strict=True)), dict.fromkeys(UNITS, below(LIMIT)))
