"""A stored task is read again only if it is one: what is written of it relies on that."""

import json
import math
from typing import Any

import pytest
from msgspec import msgpack

from exporter.model import FailureReason, Media, MediaKind, Observation, State, Task
from exporter.tracking.packing import PackedTask, pack, unpack, without_names

SEEN = Observation(
    task="t",
    task_type="clip",
    phase="encoding",
    state=State.RUNNING,
    dated=1.0,
    progress=0.5,
    retries=3,
    warnings=2,
    reason=FailureReason.DRM,
    message="no é",
    created=2.0,
    scheduled=3.0,
    updated=4.0,
    finished=5.0,
    project="p",
    input_asset="i",
    output_asset="o",
    media=(Media(MediaKind.VIDEO, 8.0, 9.0), Media(MediaKind.AUDIO, 8.5)),
    labels=(("customer", "acme"), ("team", "vod")),
    master="https://m.example",
)
TASK = Task(SEEN, retries=1, changed=6.0, ended=7.0, begun=2.0, entered=2.5, history=True)
BARE = Task(Observation("t", "clip", "encoding", State.RUNNING, 1.0), retries=None, changed=6.0)

Row = list[Any]


def row() -> Row:
    """`TASK` as ledgers have it since their third schema: no place may ever mean something else."""
    seen: Row = [
        *("t", "clip", "encoding", "running"),
        *(1.0, 0.5, 3, 2, "drm", "no é"),
        *(2.0, 3.0, 4.0, 5.0),
        *("p", "i", "o"),
        [["video", 8.0, 9.0], ["audio", 8.5, 0.0]],
        [["customer", "acme"], ["team", "vod"]],
        "https://m.example",
    ]
    return [seen, 1, 6.0, 7.0, 2.0, 2.5, True]


def read(changed: Row | bytes) -> Task | None:
    return unpack("t", PackedTask(7.0, changed if isinstance(changed, bytes) else msgpack.encode(changed)))


@pytest.mark.parametrize("task", [TASK, BARE])
def test_given_a_task_that_was_packed_when_unpacked_then_it_is_the_same(task: Task) -> None:
    assert unpack("t", pack(task)) == task
    assert pack(task).ended == task.ended


def test_given_a_task_when_packed_then_each_value_has_its_place() -> None:
    assert msgpack.decode(pack(TASK).body) == row()
    assert read(row()) == TASK


def test_given_a_row_with_more_places_or_with_fewer_when_unpacked_then_the_task_is_there() -> None:
    seen, *rest = row()
    assert read([[*seen, "new"], *rest, "new"]) == TASK

    assert read([seen[:5], None, 6.0]) == BARE


NUMBERS = {"dated": 4, "progress": 5, "created": 10, "scheduled": 11, "updated": 12, "finished": 13}
TIMES = {"changed": 2, "ended": 3, "begun": 4, "entered": 5}
NONE = (math.inf, -math.inf, math.nan, True, "1", [1])


@pytest.mark.parametrize("number", NONE, ids=str)
@pytest.mark.parametrize("name", [*NUMBERS, *TIMES, "seconds", "bytes"])
def test_given_what_is_no_finite_number_where_one_stands_when_unpacked_then_the_task_is_forgotten(
    name: str, number: object
) -> None:
    changed = row()
    if name in NUMBERS:
        changed[0][NUMBERS[name]] = number
    elif name in TIMES:
        changed[TIMES[name]] = number
    else:
        changed[0][17][0][1 if name == "seconds" else 2] = number

    assert read(changed) is None


@pytest.mark.parametrize(
    ("word", "other"),
    [
        (b"\xa1t", b"\xa1u"),
        (b"\xa1t", b"\xa1\xff"),
        (b"customer", b"custo%er"),
        (b"customer", b"2ustomer"),
        (b"customer", b"xustomer"),
        (b"running", b"runnino"),
    ],
)
def test_given_a_row_of_which_a_bit_has_flipped_when_unpacked_then_the_task_is_forgotten(
    word: bytes, other: bytes
) -> None:
    body = pack(TASK).body
    assert body.count(word) == 1

    assert read(body.replace(word, other)) is None


DEEP = b"\x91" * 100_000
"""Lists within lists, where there is one place more than is known."""


def test_given_a_row_that_is_nested_too_deeply_when_unpacked_then_the_task_is_forgotten() -> None:
    body = pack(TASK).body
    assert body[:1] == b"\x97", "a list of seven"

    assert read(b"\x98" + body[1:] + DEEP) is None
    assert PackedTask(7.0, b"\x92" + DEEP).task_type == ""


def test_given_a_packed_task_when_asked_for_its_type_then_it_tells_it_and_nothing_of_what_is_none() -> None:
    assert pack(TASK).task_type == pack(BARE).task_type == "clip"
    for body in (
        b"",
        b"\xff",
        b"{}",
        pack(TASK).body[:3],
        pack(TASK).body.replace(b"clip", b"\xff\xff\xff\xff"),
    ):
        assert PackedTask(None, body).task_type == ""


NAMED = (
    '{"seen":{"task":"t","task_type":"clip","phase":"encoding","state":"running","dated":1.0,"progress":0.5,'
    '"retries":3,"warnings":2,"reason":"drm","message":"no é","created":2.0,"scheduled":3.0,"updated":4.0,'
    '"finished":5.0,"project":"p","input_asset":"i","output_asset":"o","media":[{"kind":"video","seconds":8.0,'
    '"bytes":9.0},{"kind":"audio","seconds":8.5,"bytes":0.0}],"labels":[["customer","acme"],["team","vod"]],'
    '"master":"https://m.example"},"retries":1,"changed":6.0,"ended":7.0,"begun":2.0,"entered":2.5,"history":true}'
)
"""`TASK` as the second schema's exporter wrote it."""

BARE_NAMED = (
    '{"seen":{"task":"t","task_type":"clip","phase":"encoding","state":"running","dated":1.0},"retries":null,'
    '"changed":6.0}'
)


@pytest.mark.parametrize(("named", "task"), [(NAMED, TASK), (BARE_NAMED, BARE)])
def test_given_a_row_with_names_when_they_are_left_out_then_it_is_as_if_it_were_written_today(
    named: str, task: Task
) -> None:
    assert without_names(named.encode()) == pack(task).body


def test_given_a_row_without_names_when_they_are_left_out_then_it_stays() -> None:
    body = pack(TASK).body
    assert without_names(body) is body


def changed(**values: object) -> bytes:
    return json.dumps({**json.loads(NAMED), **values}).encode()


@pytest.mark.parametrize(
    "named",
    [
        b"{",
        b"{}",
        b'{"seen":\xff}',
        changed(seen=None),
        changed(seen={}),
        changed(seen={**json.loads(NAMED)["seen"], "media": [1]}),
        changed(seen={**json.loads(NAMED)["seen"], "media": [{"kind": "smell"}]}),
        changed(unknown=1),
        changed(changed="soon"),
        NAMED.replace('"ended":7.0', '"ended":1e999').encode(),
        NAMED.replace("customer", "2ustomer").encode(),
        NAMED.replace('"ended":7.0', f'"ended":{2**64}').encode(),
        NAMED.replace('"ended":7.0', f'"ended":{-(2**63) - 1}').encode(),
        b'{"seen":' + b"[" * 100_000,
        NAMED.encode()[:-9],
    ],
)
def test_given_a_row_with_names_that_is_no_task_when_unpacked_then_the_task_is_forgotten(
    named: bytes,
) -> None:
    assert read(without_names(named)) is None
