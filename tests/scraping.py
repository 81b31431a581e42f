"""What a scrape brings, read by prometheus_client's own parser of the text format."""

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import requests
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

Labels = frozenset[tuple[str, str]]


class Scrape(NamedTuple):
    """One answer of `/metrics`, all of whose samples have a name, labels and a value."""

    status: int
    seconds: float
    samples: Mapping[str, Mapping[Labels, float]]

    def value(self, name: str, **labels: str) -> float | None:
        """The sample with exactly these labels; None if there is none."""
        return self.samples.get(name, {}).get(frozenset(labels.items()))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The sums over the samples that have the given labels, by one label more."""
        sums: dict[str, float] = {}
        for found, value in self.samples.get(name, {}).items():
            if labels.items() <= found:
                key = dict(found)[label]
                sums[key] = sums.get(key, 0) + value
        return sums

    def total(self, name: str, **labels: str) -> float:
        """The sum over the samples that have the given labels."""
        return sum(self.by("account", name, **labels).values())


def read(text: str) -> Mapping[str, Mapping[Labels, float]]:
    """Return the samples of a text by name; fails if there is a sample twice."""
    samples: dict[str, dict[Labels, float]] = {}
    for family in parse_text(text):
        for sample in family.samples:
            same_name = samples.setdefault(sample.name, {})
            labels = frozenset(sample.labels.items())
            assert labels not in same_name, f"twice: {sample}"
            same_name[labels] = sample.value
    return samples


def text_families(text: str) -> dict[str, Metric]:
    """Return the families of Prometheus' text format by the name that a query knows them by."""
    return _by_name(parse_text(text))


def openmetrics_families(text: str) -> dict[str, Metric]:
    """Return the families of an OpenMetrics text by the name that a query knows them by."""
    return _by_name(parse_openmetrics(text))  # type: ignore[no-untyped-call]


def _by_name(parsed: Iterable[Metric]) -> dict[str, Metric]:
    families: dict[str, Metric] = {}
    for family in parsed:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert name not in families, f"twice: {name}"
        families[name] = family
    return families


def scrape(url: str, timeout: str | None = None) -> Scrape:
    """Scrape as Prometheus does, which tells its time-out (seconds)."""
    headers = {} if timeout is None else {"X-Prometheus-Scrape-Timeout-Seconds": timeout}
    started = time.monotonic()
    answer = requests.get(url, headers=headers, timeout=30)
    return Scrape(answer.status_code, time.monotonic() - started, read(answer.text))
