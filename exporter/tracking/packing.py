"""A task as it is stored, and as it is kept in memory once it has no series any more."""

from typing import NamedTuple

import msgspec
import structlog

from exporter.model import Task
from exporter.tracking.token_labels import custom_labels

_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Task).decode


class PackedTask(NamedTuple):
    """When a task ended, and the rest, packed."""

    ended: float | None
    body: bytes


def pack(task: Task) -> PackedTask:
    """Pack a task; small, because what has no value takes no room."""
    return PackedTask(task.ended, _encode(task))


def unpack(task_id: str, packed: PackedTask) -> Task | None:
    """Unpack a task; None if its bytes have changed where they were stored: the others are worth more."""
    try:
        task = _decode(packed.body)
        labels = task.seen.labels
        if task.id != task_id or (labels and labels != custom_labels(dict(labels))):
            raise msgspec.ValidationError("its id or its labels are not those that were stored")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("a stored task can't be read, it is forgotten", error=str(error))
        return None
    return task
