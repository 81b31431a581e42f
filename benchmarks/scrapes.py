"""What a scrape costs: us, and the services that it makes us ask."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.figures import Bar, Figure, Unit, compared
from benchmarks.processes import Served
from benchmarks.provider import Provider


class Cost(NamedTuple):
    """Of one scrape: seconds, those of the exporter's CPU, and what the services were asked and answered."""

    wall: float
    cpu: float
    requests: float
    bytes: float


UNITS: Mapping[str, Unit] = {
    "wall": Unit.SECONDS,
    "cpu": Unit.SECONDS,
    "requests": Unit.NUMBER,
    "bytes": Unit.BYTES,
}


def scrape(served: Served, provider: Provider, changing: int) -> Cost:
    """Let so many tasks go on, and scrape."""
    provider.change(changing)
    return Cost(*served.scrape(), *provider.change(0))


def costs(
    part: str, what: str, measured: Sequence[tuple[Cost, Cost]], bars: Mapping[str, Bar]
) -> Iterator[Figure]:
    """Yield a line for each kind of cost, by the names that `Cost` has for them."""
    for name, unit in UNITS.items():
        pairs = [(getattr(ours, name), getattr(theirs, name)) for ours, theirs in measured]
        yield compared(part, f"{what}: {name}", unit, pairs, bars[name])
