"""A task as it is stored, and as it is kept in memory once it has no series any more.

The values stand by their places, without names: most tasks have ended long ago, and names were half of each.
"""

from typing import Final, NamedTuple

import msgspec
import structlog

from exporter.model import Media, Observation, Task
from exporter.tracking.token_labels import custom_labels

_log = structlog.get_logger()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Task).decode
_decode_named = msgspec.json.Decoder(dict).decode


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError)
"""What msgspec raises over bytes that are no task."""


class _Seen(msgspec.Struct, array_like=True):
    task: str
    task_type: str


class _Typed(msgspec.Struct, array_like=True):
    seen: _Seen


_decode_type = msgspec.msgpack.Decoder(_Typed).decode


class PackedTask(NamedTuple):
    """When a task ended, and the rest, packed."""

    ended: float | None
    body: bytes

    @property
    def task_type(self) -> str:
        """The task's type; "" if its bytes have changed: whoever needs the rest will notice, too."""
        try:
            return _decode_type(self.body).seen.task_type
        except _UNREADABLE:
            return ""


def _encoded(task: Task) -> bytes:
    # A copy: the buffer that msgspec hands out is larger by up to a third, for as long as it is kept.
    return bytes(memoryview(_encode(task)))


def pack(task: Task) -> PackedTask:
    """Pack a task."""
    return PackedTask(task.ended, _encoded(task))


def unpack(task_id: str, packed: PackedTask) -> Task | None:
    """Unpack a task; None if its bytes have changed where they were stored: the others are worth more."""
    try:
        task = _decode(packed.body)
        labels = task.seen.labels
        if task.id != task_id or (labels and labels != custom_labels(dict(labels))):
            raise msgspec.ValidationError("its id or its labels are not those that were stored")
    except _UNREADABLE as error:
        _log.warning("a stored task can't be read, it is forgotten", error=str(error))
        return None
    return task


def without_names(body: bytes) -> bytes:
    """Return a body as it is stored today: up to the ledger's second schema, it was JSON with names."""
    if not body.startswith(b"{"):
        return body
    try:
        named = _decode_named(body)
        seen = named["seen"]
        seen["media"] = tuple(Media(**media) for media in seen.get("media", ()))
        return _encoded(Task(**{**named, "seen": Observation(**seen)}))
    except (*_UNREADABLE, KeyError, TypeError, AttributeError):
        # No such task: `unpack` tells.
        return body
