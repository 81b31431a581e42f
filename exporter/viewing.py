"""How a configuration wants the tasks to be shown."""

import hashlib
from typing import Final

from exporter.config import Config, TaskLabel
from exporter.metrics.view import View
from exporter.model import Provider, State
from exporter.tracking.tally import Buckets

HASH_LENGTH: Final = 12
"""Hexadecimal digits of a token's SHA-256 that are shown with `task_label: hash`."""


def view_of(config: Config, buckets: Buckets) -> View:
    """Return the view that a configuration asks for; the buckets are those that were counted with."""
    metrics, stall = config.metrics, config.poll.stall_after
    return View(
        per_task=metrics.per_task,
        max_task_series=metrics.max_task_series,
        label=hashed if metrics.task_label is TaskLabel.HASH else plain,
        stall_after={
            State.QUEUED: stall.queued,
            State.RUNNING: stall.running,
            State.UNKNOWN: stall.unknown,
        },
        buckets=buckets,
    )


def plain(_: Provider, task: str) -> str:
    """Show a task as the provider calls it."""
    return task


def hashed(provider: Provider, task: str) -> str:
    """Show a task so that nobody can ask about it: a Qencode token is a capability as well."""
    if provider is Provider.QENCODE:
        return hashlib.sha256(task.encode()).hexdigest()[:HASH_LENGTH]
    return task
