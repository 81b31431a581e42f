"""What one answer of Livepeer says, whatever it looks like."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import FailureReason, Observation, State
from exporter.providers.livepeer_answer import next_cursor, read_list, read_task


def task(phase: str = "running", **changes: Any) -> dict[str, Any]:
    status = {"phase": phase, "updatedAt": 1_700_000_000_123}
    return {"id": "t", "type": "upload", "createdAt": 1_700_000_000_001, "status": status, **changes}


def seen(record: object) -> Observation:
    observation = read_task(json.dumps(record).encode())
    assert observation is not None
    return observation


def test_a_whole_record() -> None:
    record = {
        "id": "09f8b46c",
        "type": "transcode-file",
        "createdAt": 1_700_000_000_001,
        "scheduledAt": 1_700_000_000_002,
        "projectId": "project",
        "inputAssetId": "in",
        "outputAssetId": "out",
        "requesterId": "somebody",
        "userId": "user",
        "params": {"transcode-file": {"input": {"url": "https://example.test/v.mp4"}}},
        "output": None,
        "status": {
            "phase": "failed",
            "updatedAt": 1_700_000_000_003,
            "progress": 0.5,
            "retries": 2,
            "errorMessage": "error downloading source: http status 404",
        },
    }
    assert seen(record) == Observation(
        task="09f8b46c",
        task_type="transcode-file",
        phase="failed",
        state=State.FAILED,
        dated=1_700_000_000.003,
        progress=0.5,
        retries=2,
        reason=FailureReason.SOURCE_DOWNLOAD,
        message="error downloading source: http status 404",
        created=1_700_000_000.001,
        scheduled=1_700_000_000.002,
        updated=1_700_000_000.003,
        finished=1_700_000_000.003,
        project="project",
        input_asset="in",
        output_asset="out",
    )


def test_the_least_record() -> None:
    assert seen({"id": "t", "type": "clip", "status": {"phase": "pending"}}) == Observation(
        task="t", task_type="clip", phase="pending", state=State.QUEUED, dated=0.0
    )


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("pending", State.QUEUED),
        ("waiting", State.QUEUED),
        ("running", State.RUNNING),
        ("completed", State.COMPLETED),
        ("failed", State.FAILED),
        ("cancelled", State.CANCELLED),
        ("Completed", State.UNKNOWN),
        ("canceled", State.UNKNOWN),
    ],
)
def test_phases(phase: str, state: State) -> None:
    observation = seen(task(phase))
    assert (observation.phase, observation.state) == (phase, state)
    ended = state in (State.COMPLETED, State.FAILED, State.CANCELLED)
    assert observation.finished == (1_700_000_000.123 if ended else None)


def test_a_long_phase_and_a_long_message_are_cut() -> None:
    record = task("p" * 1000)
    record["status"]["errorMessage"] = "m" * 1000
    assert (len(seen(record).phase), len(seen(record).message)) == (64, 500)


@pytest.mark.parametrize(
    ("phase", "shown", "state"),
    [
        ("being\nmoved", "being moved", State.UNKNOWN),
        (" running\t", "running", State.RUNNING),
        ("run\x00ning", "run\ufffdning", State.UNKNOWN),
        ("\x1b[2Jfailed", "\ufffd[2Jfailed", State.UNKNOWN),
        ("\u202egnidnep", "\ufffdgnidnep", State.UNKNOWN),
        ("run\u200bning", "run\ufffdning", State.UNKNOWN),
        ("réencodage №7", "réencodage №7", State.UNKNOWN),
        ("\n \u2028", "unknown", State.UNKNOWN),
        ("a" * 63 + " b", "a" * 63, State.UNKNOWN),
    ],
)
def test_a_phase_is_one_line_of_what_can_be_seen(phase: str, shown: str, state: State) -> None:
    observation = seen(task(phase))
    assert (observation.phase, observation.state) == (shown, state)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("09F8b46c-3f0a-4d8e", "09F8b46c-3f0a-4d8e"),
        ("Vidéos d'été / 2", "Vidéos d'été / 2"),
        ("a\x00b\x1b[31m\u202ec", "a\ufffdb\ufffd[31m\ufffdc"),
        ("i" * 1000, "i" * 256),
        (None, ""),
    ],
)
def test_the_ids_of_a_project_and_of_assets_are_too(told: str | None, shown: str) -> None:
    observation = seen(task(projectId=told, inputAssetId=told, outputAssetId=told))
    assert (observation.project, observation.input_asset, observation.output_asset) == (shown, shown, shown)


@pytest.mark.parametrize("words", ["Upload", "up\nload", "\x1b[2J", "transcode-file "])
def test_a_type_that_is_none_of_the_known_ones_is_other_whatever_it_holds(words: str) -> None:
    assert seen(task(type=words)).task_type == "other"


@pytest.mark.parametrize(
    ("phase", "told", "shown"),
    [
        ("running", 0, 0),
        ("running", 0.25, 0.25),
        ("running", -0.1, 0),
        ("running", 1.01, 1),
        ("running", None, None),
        ("completed", None, 1),
        ("completed", 0.98, 1),
        ("failed", None, None),
    ],
)
def test_progress(phase: str, told: float | None, shown: float | None) -> None:
    record = task(phase)
    record["status"]["progress"] = told
    assert seen(record).progress == shown


@pytest.mark.parametrize(("told", "shown"), [(None, None), (0, 0), (2, 2), (1.0, 1), (-1, 0)])
def test_retries(told: float | None, shown: int | None) -> None:
    record = task()
    record["status"]["retries"] = told
    assert seen(record).retries == shown


def test_a_reason_is_of_failed_tasks_only() -> None:
    record = task("waiting")
    record["status"]["errorMessage"] = "no space left on device"
    assert seen(record).reason is None


def test_a_deleted_task_is_none() -> None:
    assert read_task(json.dumps(task(deleted=True)).encode()) is None
    assert seen(task(deleted=False)).task == "t"


def test_a_page_tells_its_length_its_tasks_and_its_mistakes() -> None:
    page = [task(id="a"), {"id": "b"}, task(id="c", deleted=True), task(id="d" * 257), task(id="e")]
    listing = read_list(json.dumps(page).encode())
    assert listing.length == 5
    assert [each.task for each in listing.tasks] == ["a", "e"]
    assert len(listing.mistakes) == 2
    assert "`type`" in listing.mistakes[0]
    assert "too long" in listing.mistakes[1]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b'{"errors":["x"]}', b"[", b"<html>", b"\xff", b"[1,]"]
)
def test_what_is_no_page(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_list(body)


HOST = "http://127.0.0.1:3004/api/task"


@pytest.mark.parametrize(
    ("link", "cursor"),
    [
        (None, None),
        ("", None),
        (f'<{HOST}?cursor=skip20>; rel="next"', "skip20"),
        (f'<{HOST}?limit=1000&cursor=skip1000&order=a-b>; rel="next"', "skip1000"),
        (f"<{HOST}?cursor=skip20>;rel=next", "skip20"),
        (f'<{HOST}?cursor=a%2Bb%20c>; rel="next"', "a+b c"),
        (f'<{HOST}?cursor=skip0>; rel="prev", <{HOST}?cursor=skip40>; rel="next"', "skip40"),
        (f'<{HOST}?limit=1000&cursor=undefined>; rel="next"', None),
        (f'<{HOST}?cursor=>; rel="next"', None),
        (f'<{HOST}>; rel="next"', None),
        (f'<{HOST}?cursor=skip20>; rel="last"', None),
        ('<http://[?cursor=skip20>; rel="next"', "skip20"),
        ("nonsense", None),
    ],
)
def test_the_cursor_of_a_link(link: str | None, cursor: str | None) -> None:
    assert next_cursor(link) == cursor


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("createdAt", "scheduledAt", "projectId", "inputAssetId", "outputAssetId", "deleted")
STATUS = st.fixed_dictionaries(
    {"phase": st.sampled_from(["running", "completed", "failed"]) | JSON},
    optional=dict.fromkeys(("updatedAt", "progress", "retries", "errorMessage"), JSON),
)
RECORDS = st.fixed_dictionaries(
    {"id": st.text(min_size=1) | JSON, "type": st.text() | JSON, "status": STATUS | JSON},
    optional=dict.fromkeys(FIELDS, JSON),
)


@given(st.lists(RECORDS | JSON, max_size=4))
def test_any_list_is_a_page_and_each_record_is_read_or_a_mistake(page: list[Any]) -> None:
    listing = read_list(json.dumps(page).encode())
    deleted = sum(isinstance(each, dict) and each.get("deleted") is True for each in page)
    assert len(page) - deleted <= len(listing.tasks) + len(listing.mistakes) <= len(page) == listing.length
    for each in listing.tasks:
        assert "".join(
            (each.task, each.phase, each.project, each.input_asset, each.output_asset)
        ).isprintable()
        assert 0 < len(each.phase) <= 64
        assert each.progress is None or 0 <= each.progress <= 1
        assert each.retries is None or each.retries >= 0
        for number in (each.dated, each.created or 0.0, each.scheduled or 0.0, each.updated or 0.0):
            assert math.isfinite(number)


@given(st.binary(max_size=40) | st.text(alphabet='[]{}",:0123eE.-\\unl', max_size=40).map(str.encode))
def test_any_bytes_are_a_page_or_an_error_of_decoding(body: bytes) -> None:
    try:
        read_list(body)
    except (msgspec.DecodeError, RecursionError):
        return


@given(st.text())
def test_any_link_has_a_cursor_or_none(link: str) -> None:
    next_cursor(link)
    next_cursor(f'<{link}>; rel="next"')
