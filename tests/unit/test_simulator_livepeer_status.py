"""What each change of a Livepeer task leaves of its status, which is replaced whole: fields vanish."""

from typing import Any

import pytest

from exporter.simulator import LivepeerChange, LivepeerEvent
from exporter.simulator.livepeer_status import LivepeerStep, changed, created
from exporter.simulator.livepeer_task import LivepeerTask, stored

E = LivepeerEvent
Event = tuple[float, LivepeerEvent, dict[str, Any]]
RUNNING: list[Event] = [(1, E.SCHEDULED, {}), (2, E.PROGRESS, {"progress": 0.4})]
RETRIED: list[Event] = [*RUNNING, (3, E.WILL_RETRY, {"message": "boom"})]
FAILED: list[Event] = [*RUNNING, (3, E.FAILED, {"message": "boom"})]
COMPLETED: list[Event] = [*RUNNING, (3, E.COMPLETED, {"output": {"transcodeFile": {}}})]


def after(*events: Event) -> LivepeerStep:
    step = created(0.0)
    for at, event, details in events:
        step = changed(step, at, LivepeerChange(at, event, **details))
    return step


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], {"phase": "pending", "updatedAt": 0}),
        (RUNNING[:1], {"phase": "waiting", "retries": 0, "updatedAt": 1000}),
        (RUNNING, {"phase": "running", "retries": 0, "progress": 0.4, "updatedAt": 2000}),
        (
            [*RUNNING, (3, E.PROGRESS, {"progress": 0.3})],
            {"phase": "running", "retries": 0, "progress": 0.3, "updatedAt": 3000},
        ),
        ([*RUNNING, (3, E.PROGRESS, {})], {"phase": "running", "retries": 0, "updatedAt": 3000}),
        (RETRIED, {"phase": "waiting", "retries": 1, "updatedAt": 3000, "errorMessage": "boom"}),
        ([*RETRIED, (33, E.RESUMED, {})], {"phase": "waiting", "retries": 1, "updatedAt": 33000}),
        (
            [*RETRIED, (33, E.RESUMED, {}), (34, E.PROGRESS, {"progress": 0})],
            {"phase": "running", "retries": 1, "progress": 0, "updatedAt": 34000},
        ),
        (
            [*RETRIED, (33, E.RESUMED, {}), (40, E.FAILED, {"message": "bang"})],
            {"phase": "failed", "retries": 1, "updatedAt": 40000, "errorMessage": "bang"},
        ),
        (FAILED, {"phase": "failed", "retries": 0, "updatedAt": 3000, "errorMessage": "boom"}),
        (COMPLETED, {"phase": "completed", "updatedAt": 3000}),
        ([*RUNNING, (3, E.CANCELLED, {})], {"phase": "cancelled", "updatedAt": 3000}),
        ([*FAILED, (9, E.RETRIED_BY_HAND, {})], {"phase": "waiting", "retries": 0, "updatedAt": 9000}),
        (
            [*COMPLETED, (9, E.WILL_RETRY, {"message": "late"})],
            {"phase": "waiting", "retries": 1, "updatedAt": 9000, "errorMessage": "late"},
        ),
        ([*FAILED, (9, E.COMPLETED, {})], {"phase": "completed", "updatedAt": 9000}),
        (
            [*RUNNING, (9, E.DELETED, {})],
            {"phase": "running", "retries": 0, "progress": 0.4, "updatedAt": 2000},
        ),
        ([(5, E.REPLACED, {"status": {"phase": "paused"}})], {"updatedAt": 5000, "phase": "paused"}),
    ],
)
def test_given_changes_when_they_happened_then_the_status_is_the_tables(
    events: list[Any], status: dict[str, Any]
) -> None:
    step = after(*events)

    assert dict(step.status) == status


def test_given_full_progress_when_written_then_it_is_a_whole_number_as_javascript_writes_it() -> None:
    progress = after((1, E.PROGRESS, {"progress": 1.0})).status["progress"]

    assert isinstance(progress, int)


def test_given_two_retries_when_it_fails_again_then_there_is_no_third() -> None:
    twice: list[Event] = [*RETRIED, (33, E.RESUMED, {}), (40, E.WILL_RETRY, {"message": "boom"})]

    with pytest.raises(ValueError, match="at most 2"):
        after(*twice, (220, E.WILL_RETRY, {"message": "boom"}))


def test_given_a_late_error_when_it_came_then_the_old_output_is_still_there() -> None:
    step = after(*COMPLETED, (9, E.WILL_RETRY, {"message": "late"}))

    assert step.output == {"transcodeFile": {}}


def test_given_a_task_when_scheduled_and_retried_by_hand_then_scheduled_at_is_renewed() -> None:
    assert after().scheduled_at is None
    assert after(*FAILED).scheduled_at == 1000
    assert after(*FAILED, (9, E.RETRIED_BY_HAND, {})).scheduled_at == 9000


def test_given_a_late_change_when_readers_look_then_they_see_the_step_before() -> None:
    script = [LivepeerChange(10, E.SCHEDULED), LivepeerChange(20, E.PROGRESS, progress=0.5, late=30)]
    task = LivepeerTask.scripted({"id": "a"}, 0.0, script)

    def phase(now: float, lag: float = 0.0) -> str | None:
        step = task.seen(now, lag)
        return None if step is None else str(step.status["phase"])

    assert [phase(now) for now in (0, 10, 25, 49, 50)] == [
        *("pending", "waiting", "waiting", "waiting", "running")
    ]
    assert [phase(now, lag=60) for now in (59, 60, 70, 80)] == [None, "pending", "waiting", "running"]


def test_given_any_document_when_stored_then_shorter_keys_come_first() -> None:
    document = {"createdAt": 1, "id": {"url": 1, "key": [{"bb": 1, "a": 1}]}, "type": 2, "status": 3}

    assert str(stored(document)) == str(
        {"id": {"key": [{"a": 1, "bb": 1}], "url": 1}, "type": 2, "status": 3, "createdAt": 1}
    )
