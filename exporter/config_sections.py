"""The sections of the configuration that hold for all accounts."""

# ruff: noqa: RUF009 - option() and its kin are field() with a schema in it

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import ClassVar

from yaml.nodes import MappingNode, Node

from exporter.config_values import Choice, DatabaseUrl, Duration, Flag, Number
from exporter.schema import InvalidValueError, ListOf, Outside, Section, option
from exporter.strict_yaml import ConfigError, Site, quoted

_HOUR = 3600.0


class TaskLabel(StrEnum):
    """How a task is named on every surface."""

    ID = "id"
    HASH = "hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class StallConfig:
    """After how many seconds without a change an active task is stalled, by its state."""

    queued: float = option(Duration(positive=True), "Of a task that waits.", default="10m")
    running: float = option(Duration(positive=True), "Of a task that runs.", default="10m")
    unknown: float = option(Duration(positive=True), "Of a task in a phase we do not know.", default="10m")


@dataclass(frozen=True)
class _StallReader:
    """Reads one duration for all states, or a section with one for each."""

    kind: ClassVar[str] = "a duration, or one for each state"

    def read(self, node: Node, site: Site, outside: Outside) -> StallConfig:
        """Return what is written."""
        if isinstance(node, MappingNode):
            return Section(StallConfig).read(node, site, outside)
        seconds = Duration(positive=True).read(node, site, outside)
        return StallConfig(queued=seconds, running=seconds, unknown=seconds)


@dataclass(frozen=True)
class _Bound(Duration):
    """An upper bound of a bucket."""

    positive: bool = True

    def parse(self, text: str, outside: Outside) -> float:
        """Return the seconds."""
        if text.lower().lstrip("+.") in ("inf", "infinity"):
            raise InvalidValueError(f"{quoted(text)} is no duration", "remove it: the last bucket is implied")
        return super().parse(text, outside)


@dataclass(frozen=True)
class _BoundsReader:
    """Reads the upper bounds of a histogram's buckets."""

    kind: ClassVar[str] = "a list of durations above 0, ascending"

    def read(self, node: Node, site: Site, outside: Outside) -> tuple[float, ...]:
        """Return the bounds, ascending, in seconds."""
        bounds = ListOf(_Bound(), filled=True).read(node, site, outside)
        written = [(_Bound().parse(item.value, outside), item) for item in node.value]
        for (before, _), (bound, item) in pairwise(written):
            if bound <= before:
                # Of those that are the same, the first as it is written.
                texts = {seconds: item.value for seconds, item in reversed(written)}
                remedy = f"write [{', '.join(texts[seconds] for seconds in sorted(texts))}]"
                problem = f"{quoted(item.value)} is not above the bound before it"
                raise ConfigError([site.mistake(item, problem, remedy)])
        return bounds


# From a clip of seconds to a film of hours; a bucket ends at most 2.5 times after the one before it.
_BUCKETS = "[10s, 20s, 30s, 1m, 2m, 5m, 10m, 20m, 30m, 1h, 2h, 4h, 8h]"


@dataclass(frozen=True, slots=True, kw_only=True)
class PollConfig:
    """How the providers are asked; durations are in seconds."""

    min_poll_interval: float = option(
        Duration(), "An account is not polled again before this is over; 0: on every scrape.", default="5s"
    )
    timeout: float = option(
        Duration(positive=True, most=_HOUR), "Time-out of one HTTP request.", default="10s"
    )
    concurrency: int = option(Number(1, 64), "Requests at once, per account.", default="8")
    retention: float = option(Duration(), "How long a task that has ended keeps its series.", default="15m")
    stall_after: StallConfig = option(
        _StallReader(), "How long an active task may go without a change before it is stalled.", default="10m"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """What Prometheus sees."""

    per_task: bool = option(Flag(), "Whether each task has series of its own.", default="true")
    max_task_series: int = option(
        Number(0, 10_000_000),
        "How many tasks have series of their own, the active and the newest first.",
        default="20000",
    )
    task_label: TaskLabel = option(
        Choice(TaskLabel),
        "How a Qencode job is named: by its token, or by 12 digits of that one's SHA-256.",
        default="id",
    )
    duration_buckets: tuple[float, ...] = option(
        _BoundsReader(), "Buckets of transcoding_task_duration_seconds.", default=_BUCKETS
    )
    phase_duration_buckets: tuple[float, ...] = option(
        _BoundsReader(), "Buckets of transcoding_task_phase_duration_seconds.", default=_BUCKETS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """Where knowledge is kept."""

    url: str = option(
        DatabaseUrl(),
        "The ledger's database: sqlite:///path, postgresql://user@host/name, or memory:// for none.",
        default="sqlite:///data/ledger.db",
        private=True,
    )
    keep: float = option(
        Duration(),
        "How long a finished task is remembered; if it comes back later, it is new. Of Qencode: until 20"
        " hours after its token left all sources.",
        default="7d",
    )
