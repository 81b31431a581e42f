"""Part a: the text of a scrape, against the official client over a plain collector with the same content.

Only the CPU is held against the bar: rendering waits for nothing, and what else the machine does is not ours.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from benchmarks.figures import Figure, Pair, Unit, at_least, compared
from benchmarks.scale import Scale
from benchmarks.tasks import NOW, STUDIO, moved, shown
from exporter.metrics.collector import TaskCollector
from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture, View
from exporter.model import Observation, State
from exporter.tracking.knowledge import Knowledge
from exporter.tracking.tracker import Moment

SERIES_A_TASK: Final = 8.3
"""About so many series a task has, as they are mixed here."""

_CHECKED: Final = 500
"""Tasks of which it is made sure that both sides tell the same."""

TEXT: Final = "text/plain;version=0.0.4"
OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"
FORMATS: Final[Mapping[str, str]] = {"text": TEXT, "OpenMetrics": OPENMETRICS}

_VIEW: Final = View(stall_after=dict.fromkeys((State.QUEUED, State.RUNNING, State.UNKNOWN), 600.0))


class World:
    """What is known about an account, ready to be rendered."""

    def __init__(self, tasks: int, seed: int) -> None:
        self._dice = Random(seed)  # noqa: S311 - nothing here is secret
        self._seen = list(shown(tasks, self._dice))
        self._knowledge = Knowledge(STUDIO, 0.0)
        self._learn(self._seen)

    def picture(self) -> Picture:
        """Return what a scrape shows."""
        return Picture((self._knowledge.snapshot(NOW),), _VIEW)

    def change(self, share: float) -> None:
        """Let a share of the tasks go on."""
        places = self._dice.sample(range(len(self._seen)), round(share * len(self._seen)))
        for place in places:
            self._seen[place] = moved(self._seen[place], self._dice)
        self._learn([self._seen[place] for place in places])

    def _learn(self, seen: Sequence[Observation]) -> None:
        self._knowledge.apply(self._knowledge.plan(Moment(NOW, NOW), observations=seen))


class _Plain(Collector):
    """The ordinary way: a family after the other, `add_metric` for each sample; the values lie ready."""

    def __init__(self, picture: Picture) -> None:
        metrics = list(TaskCollector(lambda: picture).collect())
        self._others = [metric for metric in metrics if metric.type != "gauge"]
        self._gauges = [
            (metric.name, metric.documentation, *_table(metric))
            for metric in metrics
            if metric.type == "gauge"
        ]

    def collect(self) -> Iterator[Metric]:
        for name, documentation, labels, rows in self._gauges:
            family = GaugeMetricFamily(name, documentation, labels=labels)
            for values, value in rows:
                family.add_metric(values, value)
            yield family
        yield from self._others


def _table(metric: Metric) -> tuple[Sequence[str], Sequence[tuple[Sequence[str], float]]]:
    names = list(metric.samples[0].labels) if metric.samples else []
    return names, [(list(sample.labels.values()), sample.value) for sample in metric.samples]


class Cost(NamedTuple):
    """Seconds that a rendering took."""

    wall: float
    cpu: float


def measure(scale: Scale) -> Iterator[Figure]:
    """Render everything for the first time, again without a change, and with 1 % changed."""
    tasks = round(scale.series / SERIES_A_TASK)
    _check(World(_CHECKED, seed=0))
    for name, accept in FORMATS.items():
        yield from _measure(name, accept, tasks, scale)


def _measure(name: str, accept: str, tasks: int, scale: Scale) -> Iterator[Figure]:
    fresh: list[tuple[Cost, Cost]] = []
    for seed in range(scale.rounds):
        world = World(tasks, seed)
        exposition = Exposition(world.picture, CollectorRegistry())
        fresh.append((_ours(exposition, accept), _theirs(world, accept)))
    lines = text(exposition, accept).splitlines()
    series = sum(not line.startswith(b"#") for line in lines)
    changed: dict[float, list[tuple[Cost, Cost]]] = {}
    for share in (0.0, 0.01):
        for _ in range(scale.rounds):
            world.change(share)
            costs = _ours(exposition, accept), _theirs(world, accept)
            changed.setdefault(share, []).append(costs)
    what = f"rendering {series:,} series, {name}"
    for case, limit, measured in (
        ("everything new", 10.0, fresh),
        ("nothing changed", 15.0, changed[0.0]),
        ("1 % of the tasks changed", 15.0, changed[0.01]),
    ):
        wall: Sequence[Pair] = [(ours.wall, theirs.wall) for ours, theirs in measured]
        cpu: Sequence[Pair] = [(ours.cpu, theirs.cpu) for ours, theirs in measured]
        yield compared("a", f"{what}, {case}", Unit.SECONDS, wall, at_least())
        yield compared("a", f"{what}, {case}: CPU", Unit.SECONDS, cpu, at_least(limit))


def text(exposition: Exposition, accept: str) -> bytes:
    """Return what a scrape brings."""
    return b"".join(piece.text for piece in exposition.render(accept).pieces)


def _ours(exposition: Exposition, accept: str) -> Cost:
    return cost(lambda: text(exposition, accept))


def _theirs(world: World, accept: str) -> Cost:
    registry = CollectorRegistry()
    registry.register(_Plain(world.picture()))
    encode, _ = choose_encoder(accept)
    return cost(lambda: encode(registry))


def cost(render: Callable[[], bytes]) -> Cost:
    """Measure a rendering."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    render()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def _check(world: World) -> None:
    """Raise `AssertionError` if both sides do not tell the same, so that nothing could be compared."""
    exposition = Exposition(world.picture, CollectorRegistry())
    registry = CollectorRegistry()
    registry.register(_Plain(world.picture()))
    for accept in FORMATS.values():
        encode, content_type = choose_encoder(accept)
        parse = parse_openmetrics if "openmetrics" in content_type else parse_text
        ours, theirs = (
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in parse(told.decode())
                for sample in family.samples
            }
            for told in (text(exposition, accept), encode(registry))
        )
        if ours != theirs:
            raise AssertionError(f"not the same: {sorted(map(str, ours.items() ^ theirs.items()))[:4]}")
