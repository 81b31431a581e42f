"""Livepeer Studio: how to read tasks and pages of them. Pure functions.

`status` is replaced whole at each change of the task, so progress, retries and the error message are simply
absent once they no longer apply (livepeer/studio, packages/api).
"""

import re
import urllib.parse
from dataclasses import dataclass
from typing import Final

import msgspec

from exporter.model import OTHER, PHASES, TASK_TYPES, Observation, Provider, State
from exporter.providers.decoding import decode
from exporter.providers.failures import classify, readable
from exporter.providers.livepeer_media import media
from exporter.providers.words import MAX_ID, MAX_PHASE, plain

_PHASES: Final = PHASES[Provider.LIVEPEER]
_TYPES: Final = frozenset(TASK_TYPES[Provider.LIVEPEER])
_MAX_LINK: Final = 2048
_MAX_RETRIES: Final = 1_000_000
_MAX_MILLISECONDS: Final = 253_402_300_800_000.0  # the year 10000


class _Status(msgspec.Struct):
    phase: str
    updatedAt: float | None = None  # noqa: N815 - the wire's name
    progress: float | None = None
    retries: float | None = None
    errorMessage: str | None = None  # noqa: N815


class _Task(msgspec.Struct):
    id: str
    type: str
    status: _Status
    createdAt: float | None = None  # noqa: N815
    scheduledAt: float | None = None  # noqa: N815
    projectId: str | None = None  # noqa: N815
    inputAssetId: str | None = None  # noqa: N815
    outputAssetId: str | None = None  # noqa: N815
    deleted: bool | None = None
    output: msgspec.Raw = msgspec.Raw(b"null")


_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_tasks: Final = msgspec.json.Decoder(list[_Task])
_task: Final = msgspec.json.Decoder(_Task)


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list.

    Attributes:
        length: Records on the page, readable or not: only a page shorter than its limit is the last.
        tasks: The readable ones, in the page's order, without deleted ones.
        mistakes: What is wrong with each of the others.
    """

    length: int
    tasks: tuple[Observation, ...]
    mistakes: tuple[str, ...]


def read_list(body: bytes) -> Listing:
    """Read a page. Raises `msgspec.DecodeError` if it is not a JSON array."""
    try:
        records = decode(_tasks, body)
        tasks = tuple(_observe(task) for task in records if not task.deleted)
    except msgspec.DecodeError:
        return _read_one_by_one(body)
    return Listing(len(records), tasks, ())


def _read_one_by_one(body: bytes) -> Listing:
    """Read a page on which something is wrong: the other records are worth having."""
    records = decode(_array, body)
    tasks, mistakes = [], []
    for record in records:
        try:
            task = read_task(record)
        except msgspec.DecodeError as error:
            mistakes.append(str(error))
        else:
            if task is not None:
                tasks.append(task)
    return Listing(len(records), tuple(tasks), tuple(mistakes))


def read_task(body: bytes | msgspec.Raw) -> Observation | None:
    """Read one task; None if it is deleted, which the server says in an answer of 200.

    Raises:
        msgspec.DecodeError: it is not a task.
    """
    task = decode(_task, body)
    return None if task.deleted else _observe(task)


def next_cursor(link: str | None) -> str | None:
    """Take the cursor out of a `Link` header; None if there is no next page.

    Only the cursor: the URL is built from the Host header and says `http://` behind TLS, and each page that
    is not empty has a Link, the last one with the word `undefined` for a cursor.
    """
    match = re.search(r'<([^<>]*)>\s*;\s*rel="?next"?', (link or "")[:_MAX_LINK])
    query = urllib.parse.parse_qs(match[1].partition("?")[2]) if match else {}
    cursor = query.get("cursor", [None])[0]
    return None if cursor == "undefined" else cursor


def _observe(task: _Task) -> Observation:
    status = task.status
    if not 0 < len(task.id) <= MAX_ID or not task.id.isprintable():
        raise msgspec.ValidationError("an id that is empty, too long or not printable - at `$.id`")
    phase = plain(status.phase, MAX_PHASE) or State.UNKNOWN
    state = _PHASES.get(phase, State.UNKNOWN)
    updated = _seconds(status.updatedAt)
    message = readable(status.errorMessage)
    return Observation(
        task=task.id,
        task_type=task.type if task.type in _TYPES else OTHER,
        phase=phase,
        state=state,
        dated=0.0 if updated is None else updated,
        progress=_progress(state, status.progress),
        retries=None if status.retries is None else int(min(max(0.0, status.retries), _MAX_RETRIES)),
        reason=classify(message) if state is State.FAILED else None,
        message=message,
        created=_seconds(task.createdAt),
        scheduled=_seconds(task.scheduledAt),
        updated=updated,
        finished=updated if state.terminal else None,
        project=plain(task.projectId or "", MAX_ID),
        input_asset=plain(task.inputAssetId or "", MAX_ID),
        output_asset=plain(task.outputAssetId or "", MAX_ID),
        media=media(task.output) if state is State.COMPLETED else (),
    )


def _progress(state: State, told: float | None) -> float | None:
    if state is State.COMPLETED:
        return 1.0
    return None if told is None else min(max(told, 0.0), 1.0)


def _seconds(milliseconds: float | None) -> float | None:
    if milliseconds is None:
        return None
    if not 0 <= milliseconds < _MAX_MILLISECONDS:
        raise msgspec.ValidationError(f"{milliseconds:g} is no time in milliseconds")
    return milliseconds / 1000
