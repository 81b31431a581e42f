"""A stored task is read again only if it is one: what is written of it relies on that."""

import json
from typing import Any

import pytest

from exporter.model import Observation, State, Task
from exporter.tracking.packing import PackedTask, pack, unpack

SEEN = Observation(
    task="t",
    task_type="transcode",
    phase="encoding",
    state=State.RUNNING,
    dated=1.0,
    progress=0.5,
    created=2.0,
    scheduled=3.0,
    updated=4.0,
    finished=5.0,
    labels=(("customer", "acme"), ("team", "vod")),
)
TASK = Task(SEEN, retries=1, changed=6.0, ended=7.0)


def test_given_a_task_that_was_packed_when_unpacked_then_it_is_the_same() -> None:
    assert unpack("t", pack(TASK)) == TASK


@pytest.mark.parametrize(
    "number",
    ["1e999", "-1e999", "NaN", "Infinity", "true", '"1"', "9" * 400, "[1]"],
    ids=lambda number: number[:9],
)
@pytest.mark.parametrize(
    "name", ["progress", "created", "scheduled", "updated", "finished", "changed", "ended"]
)
def test_given_a_time_or_a_progress_that_is_no_finite_number_when_unpacked_then_the_task_is_forgotten(
    name: str, number: str
) -> None:
    body: dict[str, Any] = json.loads(pack(TASK).body)
    where = body["seen"] if name in body["seen"] else body
    where[name] = "here"
    changed = json.dumps(body).replace('"here"', number)

    assert unpack("t", PackedTask(7.0, changed.encode())) is None


@pytest.mark.parametrize(
    ("word", "other"),
    [('"t"', '"u"'), ("customer", "custo%er"), ("customer", "2ustomer"), ("customer", "xustomer")],
)
def test_given_an_id_or_a_label_of_which_a_bit_has_flipped_when_unpacked_then_the_task_is_forgotten(
    word: str, other: str
) -> None:
    body = pack(TASK).body.decode()
    assert body.count(word) == 1

    assert unpack("t", PackedTask(7.0, body.replace(word, other).encode())) is None
