"""How many series there are, counted in what is rendered of one account, and of one task."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
from prometheus_client import Metric

from exporter.assembly import Exporter
from exporter.config import Config, LivepeerConfig, QencodeConfig, Secret, StorageConfig
from exporter.metrics.collector import TaskCollector
from exporter.metrics.view import Picture
from exporter.model import Account, FailureReason, Observation, Provider, State, Task
from exporter.tracking.knowledge import Snapshot

_CONFIG: Final = Config(storage=StorageConfig(url="memory://"))
_ACCOUNTS: Final[Mapping[Provider, Config]] = {
    Provider.QENCODE: replace(_CONFIG, qencode=(QencodeConfig(name="vod", task_tokens=("token",)),)),
    Provider.LIVEPEER: replace(_CONFIG, livepeer=(LivepeerConfig(name="studio", api_key=Secret("key")),)),
}

_NOTHING: Final = Observation("id", "transcode", "queued", State.QUEUED, 0.0)
_JOB: Final = msgspec.structs.replace(
    _NOTHING, phase="encoding", state=State.RUNNING, progress=0.5, retries=0
)
_UPLOAD: Final = msgspec.structs.replace(
    _JOB, task_type="upload", phase="running", created=1.0, scheduled=2.0, updated=3.0
)
_TASKS: Final[Mapping[Provider, Sequence[Observation]]] = {
    Provider.QENCODE: (
        _JOB,
        msgspec.structs.replace(_JOB, phase="completed", state=State.COMPLETED, progress=1.0),
        msgspec.structs.replace(_JOB, phase="error", state=State.FAILED, reason=FailureReason.DRM),
    ),
    Provider.LIVEPEER: (
        _UPLOAD,
        msgspec.structs.replace(
            _UPLOAD, phase="completed", state=State.COMPLETED, progress=1.0, finished=3.0
        ),
        msgspec.structs.replace(
            _UPLOAD,
            phase="failed",
            state=State.FAILED,
            progress=None,
            finished=3.0,
            reason=FailureReason.DRM,
        ),
    ),
}


class OfAccount(NamedTuple):
    """The series of one account that has no tasks."""

    fleet: int
    asking: int


class OfTask(NamedTuple):
    """The series of one task, whichever way it goes."""

    running: int
    completed: int
    failed: int


def of_account(provider: Provider) -> OfAccount:
    """Count the series of an account, polled with success once, at the default buckets."""
    exporter = Exporter(_ACCOUNTS[provider])
    try:
        (account,) = exporter.accounts
        exporter.telemetry.poll_ended(account, 0.0, up=True, success_at=0.0)
        if provider is Provider.QENCODE:
            exporter.telemetry.token_sources(account, {"task_tokens": True, "api": True})
        with_type = [
            "task_type" in labels for labels in _labels(exporter.registry.collect()) if "account" in labels
        ]
    finally:
        exporter.close()
    return OfAccount(fleet=sum(with_type), asking=len(with_type) - sum(with_type))


def of_task(provider: Provider) -> OfTask:
    """Count the series of a task of which everything is told."""
    return OfTask(*(_of(provider, seen) for seen in _TASKS[provider]))


def _of(provider: Provider, seen: Observation) -> int:
    task = Task(seen, retries=seen.retries, changed=0.0, ended=0.0 if seen.state.terminal else None)
    snapshot = Snapshot(Account(provider, "account"), 0.0, (task,), {}, {})
    return sum("task" in labels for labels in _labels(TaskCollector(lambda: Picture((snapshot,))).collect()))


def _labels(metrics: Iterable[Metric]) -> Iterator[Mapping[str, str]]:
    for metric in metrics:
        yield from (sample.labels for sample in metric.samples)
