import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import FailureReason, Observation, State
from exporter.providers.qencode_answer import Refusal, Statuses, Verdict, lags, read
from exporter.tracking.tokens import WatchedToken

TOKEN = "63adfb01d408081b10440682f3a64114"


def answer(**status: object) -> bytes:
    return json.dumps({"error": 0, "statuses": {TOKEN: status}}).encode()


def observed(**status: object) -> Observation:
    found = read(answer(**status), {TOKEN: WatchedToken(5.0)})
    assert isinstance(found, Statuses)
    return found.observations[TOKEN]


def told(phase: str, progress: float | None = None, state: State = State.RUNNING) -> Observation:
    return Observation(TOKEN, "transcode", phase, state, 0.0, progress)


def test_given_a_status_then_it_is_observed_whole() -> None:
    assert observed(
        status="encoding",
        percent=12.5,
        error=1,
        error_description="Upload failed",
        warnings=[{"message": "Low bitrate"}],
    ) == Observation(
        task=TOKEN,
        task_type="transcode",
        phase="encoding",
        state=State.FAILED,
        dated=5.0,
        progress=0.125,
        retries=0,
        warnings=1,
        reason=FailureReason.DESTINATION,
        message="Upload failed",
    )


@pytest.mark.parametrize("empty", [b"[]", b"{}"])
def test_given_no_status_then_nothing_is_observed(empty: bytes) -> None:
    assert read(b'{"error": 0, "statuses": %b}' % empty, {TOKEN: WatchedToken(0.0)}) == Statuses()


def test_given_statuses_of_tokens_that_nobody_asked_about_then_they_are_not_taken() -> None:
    assert read(answer(status="encoding"), {"another": WatchedToken(0.0)}) == Statuses()


def test_given_a_status_that_is_null_then_the_token_is_not_known() -> None:
    body = json.dumps({"error": 0, "statuses": {TOKEN: None}}).encode()
    assert read(body, {TOKEN: WatchedToken(0.0)}) == Statuses()


@pytest.mark.parametrize(
    "status", [{}, {"status": None}, {"status": 7}, {"status": "encoding", "error": [1]}, [], 7, "encoding"]
)
def test_given_a_malformed_status_then_it_is_told_beside_the_others(status: object) -> None:
    body = json.dumps({"error": 0, "statuses": {TOKEN: status, "good": {"status": "queued"}}}).encode()

    found = read(body, {TOKEN: WatchedToken(0.0), "good": WatchedToken(0.0)})

    assert isinstance(found, Statuses)
    assert set(found.observations) == {"good"}
    assert set(found.malformed) == {TOKEN}


def test_given_status_urls_then_they_are_passed_on_unchecked() -> None:
    found = read(answer(status="queued", status_url="https://x.example/"), {TOKEN: WatchedToken(0.0)})
    assert isinstance(found, Statuses)
    assert found.observations[TOKEN].master == "https://x.example/"


@pytest.mark.parametrize("url", [None, "", 7, ["https://x.example/"]])
def test_given_no_status_url_then_there_is_none(url: object) -> None:
    found = read(answer(status="queued", status_url=url), {TOKEN: WatchedToken(0.0)})
    assert isinstance(found, Statuses)
    assert found.observations[TOKEN].master == ""


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        *(("Encoding", "encoding"), (" SAVING\n", "saving"), ("", "unknown"), ("x" * 100, "x" * 64)),
        # What does not print is seen for what it is, and passes for no phase that we know.
        *(("Stitching\n2 of 3", "stitching 2 of 3"), ("\x00", "\ufffd"), ("saved\u200b", "saved\ufffd")),
        *(
            ("\x1b[31mQueued", "\ufffd[31mqueued"),
            ("\u202equeued", "\ufffdqueued"),
            ("Wärmt auf", "wärmt auf"),
        ),
    ],
)
def test_given_a_status_then_its_text_is_the_phase(status: str, phase: str) -> None:
    assert observed(status=status).phase == phase


@pytest.mark.parametrize(
    ("percent", "progress"),
    [(100, 1.0), ("50", 0.5), (1e300, 1.0), (-1, 0.0), (None, None), ("inf", None), ("1e400", None)],
)
def test_given_a_percent_then_progress_is_from_0_to_1(percent: object, progress: float | None) -> None:
    assert observed(status="encoding", percent=percent).progress == progress


@pytest.mark.parametrize("status", ["completed", "saved"])
def test_given_a_completed_task_then_its_progress_is_1(status: str) -> None:
    assert observed(status=status, percent=97).progress == 1.0


@pytest.mark.parametrize("flag", [1, "1", True, "True", "yes", 13, "-1", "Download failed", 10**400])
def test_given_an_error_flag_then_the_task_failed(flag: object) -> None:
    assert observed(status="encoding", error=flag).state is State.FAILED


@pytest.mark.parametrize("flag", [0, "0", False, "False", "no", "null", "None", "", " ", None])
def test_given_no_error_flag_then_the_task_goes_on(flag: object) -> None:
    assert observed(status="encoding", error=flag).state is State.RUNNING


def test_given_a_restarted_task_then_it_failed_and_was_retried() -> None:
    seen = observed(status="restarted", error_description="Encoder killed")
    assert (seen.state, seen.retries, seen.reason) == (State.FAILED, 1, FailureReason.RESOURCES)


@pytest.mark.parametrize("description", [404, [], {"text": "no"}, True])
def test_given_a_description_that_is_no_text_then_the_failure_is_observed_all_the_same(
    description: object,
) -> None:
    seen = observed(status="error", error_description=description)
    assert (seen.state, seen.reason, seen.message) == (State.FAILED, FailureReason.UNKNOWN, "")


# --- errors of the API --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (1, Verdict.RETRY),
        (7, Verdict.RETRY),
        (4, Verdict.NARROW),
        (5, Verdict.NARROW),
        (13, Verdict.NARROW),
        (6, Verdict.GIVE_UP),
        (8, Verdict.WAIT),
        (14, Verdict.REPORT),
        (99, Verdict.TROUBLE),
        ("13", Verdict.NARROW),
        (True, Verdict.RETRY),
    ],
)
def test_given_an_error_code_then_it_has_its_verdict(code: object, verdict: Verdict) -> None:
    found = read(json.dumps({"error": code, "message": "no"}).encode(), {TOKEN: WatchedToken(0.0)})

    assert found == Refusal(int(code), verdict, "no", None)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(12, 12.0), (0.5, 0.5), ("7", 7.0), ("soon", None), (None, None), ([], None), ({"s": 1}, None)],
)
def test_given_a_time_to_wait_then_it_is_read_whatever_its_type(
    retry_after: object, seconds: float | None
) -> None:
    found = read(json.dumps({"error": 8, "retry_after": retry_after}).encode(), {TOKEN: WatchedToken(0.0)})

    assert found == Refusal(8, Verdict.WAIT, "", seconds)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"message": "a", "error_description": "b"}, "a"),
        ({"error_description": "b"}, "b"),
        ({"message": ["a"], "error_description": "b"}, "b"),
        ({"message": {}}, ""),
    ],
)
def test_given_an_error_then_its_words_are_found(words: dict[str, object], message: str) -> None:
    found = read(json.dumps({"error": 6} | words).encode(), {TOKEN: WatchedToken(0.0)})
    assert isinstance(found, Refusal)
    assert found.message == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"error": 0}',
        b'{"error": 0, "statuses": null}',
        b"\xff",
        b"<html>",
        b'{"error": "about 0", "statuses": {}}',
        b'{"error": 0, "statuses": 7}',
    ],
)
def test_given_no_answer_of_the_call_then_it_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read(body, {TOKEN: WatchedToken(0.0)})


# --- whatever comes ------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
status_like = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["status", "percent", "error", "error_description", "status_url", "warnings"], anything
    ),
)
answer_like = st.fixed_dictionaries(
    {},
    optional={
        "error": anything,
        "statuses": anything | st.fixed_dictionaries({TOKEN: anything | status_like}),
        "message": anything,
        "error_description": anything,
        "retry_after": anything,
    },
)


def check(body: bytes) -> None:
    """Reading either works, and tells only what may become a label, or fails in one of two ways."""
    try:
        found = read(body, {TOKEN: WatchedToken(0.0)})
    except (msgspec.DecodeError, RecursionError):
        return
    if isinstance(found, Refusal):
        assert found.code != 0
        return
    for seen in found.observations.values():
        assert seen.phase
        assert len(seen.phase) <= 64
        assert seen.phase.isprintable()
        assert seen.progress is None or 0 <= seen.progress <= 1
        assert len(seen.message) <= 500
        assert (seen.reason is not None) == (seen.state is State.FAILED)


@given(st.binary())
def test_given_any_bytes_then_reading_fails_only_as_promised(body: bytes) -> None:
    check(body)


@given(answer_like)
def test_given_any_answer_then_reading_fails_only_as_promised(content: object) -> None:
    check(json.dumps(content).encode())


@given(status_like, st.data())
def test_given_any_damage_to_the_bytes_of_an_answer_then_reading_fails_only_as_promised(
    status: dict[str, object], data: st.DataObject
) -> None:
    body = bytearray(answer(**status))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(body))


# --- answers that lag ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "seen", "behind"),
    [
        (told("encoding", 0.4), told("queued", 0.0), True),
        (told("encoding", 0.4), told("encoding", 0.3), True),
        (told("encoding", 0.4), told("encoding", None), True),
        (told("encoding", 0.4), told("encoding", 0.4), False),
        (told("encoding", 0.4), told("encoding", 0.5), False),
        (told("encoding", None), told("encoding", None), False),
        (told("encoding", 0.4), told("saving", 0.0), False),
        (told("saving", 0.4), told("encoding", 0.9), True),
        (told("encoding", 0.4), told("encoding", 0.1, State.FAILED), False),
        (told("encoding", 0.4), told("error", None, State.FAILED), False),
        # In either order: nobody can tell.
        (told("downloading", 0.0), told("queued", 0.0), False),
        (told("queued", 0.0), told("downloading", 0.0), False),
        (told("meditating", 0.9), told("queued", 0.0), False),
        (told("encoding", 0.9), told("meditating", 0.0), False),
    ],
)
def test_given_a_quick_look_then_it_is_behind_if_the_job_has_certainly_gone_on(
    known: Observation, seen: Observation, behind: bool
) -> None:
    assert lags(seen, known) is behind
