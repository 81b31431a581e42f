"""Part c: against the exporter that one would write in an afternoon (`plain_exporter.py`).

Both watch the same 10,000 tasks of Livepeer, over real HTTP, and are scraped in turn.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.figures import Figure, NotComparedError, at_least
from benchmarks.processes import Served, livepeer, running, serving
from benchmarks.provider import Provider, Work, providing
from benchmarks.scale import Scale
from benchmarks.scrapes import UNITS, Cost, costs, scrape

TRACKED: Final = 10_000
ACTIVE: Final = 200
CHANGING: Final = 50

_NO_BARS: Final = dict.fromkeys(UNITS, at_least())
_PLAIN: Final = Path(__file__).with_name("plain_exporter.py")


def measure(scale: Scale) -> Iterator[Figure]:
    """Compare the first scrape, and steady ones.

    Raises:
        NotComparedError: in the end, for json_exporter.
    """
    with providing(Work(TRACKED - ACTIVE, ACTIVE)) as provider:
        # Whoever is the first of all pays for what the services do only once.
        _, *first = [_first(provider, place) for place in range(scale.starts + 1)]
        with _ours(provider) as ours, plain_exporting(provider) as theirs:
            for served in (ours, theirs) * 4:
                served.scrape()
                provider.change(CHANGING)
            steady = [
                (scrape(ours, provider, CHANGING), scrape(theirs, provider, CHANGING))
                for _ in range(2 * scale.rounds)
            ]
    what = f"{TRACKED:,} tracked tasks, against the plain exporter"
    yield from costs("c", f"first scrape, {what}", first, {**_NO_BARS, "wall": at_least(1.0)})
    bars = {**_NO_BARS, "wall": at_least(10.0), "bytes": at_least(20.0)}
    yield from costs("c", f"steady scrape, {what}", steady, bars)
    raise NotComparedError(_without_json_exporter())


def _first(provider: Provider, place: int) -> tuple[Cost, Cost]:
    """Start both and scrape each, by turns in either order."""
    with _ours(provider) as ours, plain_exporting(provider) as theirs:
        if place % 2:
            of_theirs = scrape(theirs, provider, 0)
            return scrape(ours, provider, 0), of_theirs
        return scrape(ours, provider, 0), scrape(theirs, provider, 0)


def _without_json_exporter() -> str:
    whom = "prometheus-community/json_exporter: not compared"
    if shutil.which("json_exporter") is None:
        return f"{whom}, there is no binary here."
    return f"{whom}, it asks one URL a scrape, and can't follow a list over its pages."


@contextmanager
def _ours(provider: Provider) -> Iterator[Served]:
    with TemporaryDirectory() as folder:
        poll = {"min_poll_interval": "0s"}
        with serving(Path(folder), livepeer(provider.addresses), poll=poll) as served:
            yield served


@contextmanager
def plain_exporting(provider: Provider) -> Iterator[Served]:
    """Run the plain exporter on what a provider has."""
    addresses = provider.addresses
    variables = {"LIVEPEER_URL": addresses.livepeer_url, "LIVEPEER_API_KEY": addresses.livepeer_key}
    with TemporaryDirectory() as folder:
        command = [sys.executable, str(_PLAIN)]
        with running(command, Path(folder), variables) as served:
            yield served
