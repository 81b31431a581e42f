"""What the tests share: a clock to drive, and an exporter in front of the simulator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import Metric

from exporter.assembly import Exporter
from exporter.clock import SystemClock
from exporter.config import (
    Config,
    LivepeerConfig,
    MetricsConfig,
    PollConfig,
    QencodeConfig,
    Secret,
    StorageConfig,
)
from exporter.sharding import ALONE, Shard
from exporter.simulator import SimulatedClock, Simulator

START = 1_795_294_800.0
"""2026-11-21T21:00:00Z, where the simulated clock of a test stands at first."""


class DrivenClock:
    """The exporter's clock, moved by the simulator's: nothing passes unless a test says so."""

    def __init__(self, simulated: SimulatedClock) -> None:
        self.simulated = simulated

    def time(self) -> float:
        return self.simulated.time()

    def monotonic(self) -> float:
        return self.simulated.time()

    def steady(self) -> float:
        return self.simulated.time()


def qencode_config(simulator: Simulator, *tokens: str, **options: Any) -> QencodeConfig:
    """An account `vod` that watches the given tokens."""
    return QencodeConfig(
        **{
            "name": "vod",
            "task_tokens": tokens,
            "base_url": simulator.qencode_url,
            "allowed_hosts": ("127.0.0.1",),
            **options,
        }
    )


def livepeer_config(simulator: Simulator, **options: Any) -> LivepeerConfig:
    """An account `studio` with the simulator's default key."""
    return LivepeerConfig(
        **{
            "name": "studio",
            "api_key": Secret(simulator.livepeer_key),
            "base_url": simulator.livepeer_url,
            **options,
        }
    )


@contextmanager
def exporting(
    clock: DrivenClock | SystemClock,
    *accounts: QencodeConfig | LivepeerConfig,
    poll: PollConfig | None = None,
    metrics: MetricsConfig | None = None,
    storage: str = "memory://",
    shard: Shard = ALONE,
) -> Iterator[Exporter]:
    """An exporter that watches the given accounts, or a shard's part of them."""
    config = Config(
        poll=poll or PollConfig(),
        metrics=metrics or MetricsConfig(),
        storage=StorageConfig(url=storage),
        qencode=tuple(account for account in accounts if isinstance(account, QencodeConfig)),
        livepeer=tuple(account for account in accounts if isinstance(account, LivepeerConfig)),
    )
    exporter = Exporter(config, clock=clock, shard=shard)
    try:
        yield exporter
    finally:
        exporter.close()


def collect(exporter: Exporter) -> dict[str, Metric]:
    """The families that a scrape would show at this moment, by name."""
    return {metric.name: metric for metric in exporter.registry.collect()}


def samples(exporter: Exporter, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of a name that have the given labels: their other labels, sorted, with the value."""
    found = {}
    for metric in exporter.registry.collect():
        for sample in metric.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                rest = {key: value for key, value in sample.labels.items() if key not in labels}
                found[tuple(sorted(rest.items()))] = sample.value
    return found


def value(exporter: Exporter, name: str, **labels: str) -> float | None:
    """The one sample of a name with exactly these labels; None if there is none."""
    return exporter.registry.get_sample_value(name, labels)


def total(exporter: Exporter, name: str, **labels: str) -> float:
    """The sum over all samples of a name that have the given labels."""
    return sum(samples(exporter, name, **labels).values())
