"""How samples are written: Prometheus' text format, and what OpenMetrics has more. Pure functions."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat

from msgspec.json import encode
from prometheus_client.samples import Exemplar

from exporter.metrics.families import TASK, Family, TaskFamily
from exporter.metrics.samples import Labels, Series
from exporter.metrics.view import Sight
from exporter.model import Task


def header(family: Family, name: str) -> str:
    """Return the lines that lead a family."""
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"


def whole(series: Series, *, openmetrics: bool) -> str:
    """Return a family with its header."""
    family = series.family
    lines = [header(family, family.base if openmetrics else family.name)]
    for values, value, suffix, exemplar in series.samples:
        own = f"{{{_recurring(series.names(suffix), values)}}}" if values else ""
        more = _exemplar(exemplar) if exemplar and openmetrics else ""
        lines.append(f"{family.name}{suffix}{own} {value!r}{more}\n")
    return "".join(lines)


def of_tasks(entry: TaskFamily, tasks: Sequence[Task], sight: Sight, ours: Sequence[str]) -> Sequence[str]:
    """Return the line of each task in one family, "" if it has none.

    Args:
        entry: The family.
        tasks: The tasks, at least one.
        sight: From where they are looked at.
        ours: The labels that each of them has in all families.
    """
    start = f"{entry.family.name}{{"
    # Numbers as JSON has them are made six times as fast as by `repr`, and are no less exact.
    values = encode(list(map(entry.value, tasks, repeat(sight)))).decode()[1:-1].split(",")
    if names := entry.family.labels[len(TASK) :]:
        more = labels(names, list(map(entry.labels, tasks)))
        return [
            "" if value == "null" else f"{start}{same},{own}}} {value}\n"
            for same, own, value in zip(ours, more, values, strict=True)
        ]
    return [
        "" if value == "null" else f"{start}{same}}} {value}\n"
        for same, value in zip(ours, values, strict=True)
    ]


def labels(names: Labels, all_values: Sequence[Labels]) -> Sequence[str]:
    """Return the labels of several samples as they stand between braces."""
    # Hardly ever has a value anything to escape: one look at all of them.
    text = "".join(chain.from_iterable(all_values))
    if "\\" in text or "\n" in text or '"' in text:
        all_values = [tuple(map(_escaped, values)) for values in all_values]
    return list(map(_pattern(names).__mod__, all_values))


@lru_cache(maxsize=16_384)
def _recurring(names: Labels, values: Labels) -> str:
    """Return labels of the fleet: they come again with each scrape."""
    return labels(names, (values,))[0]


def _exemplar(exemplar: Exemplar) -> str:
    own = labels(tuple(exemplar.labels), (tuple(exemplar.labels.values()),))[0]
    return f" # {{{own}}} {exemplar.value!r} {exemplar.timestamp}"


@lru_cache(maxsize=1024)
def _pattern(names: Labels) -> str:
    return ",".join(f'{name}="%s"' for name in names)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
