"""Livepeer's tasks over real HTTP: which ones are shown, and what their series tell of their lives."""

from collections.abc import Callable
from typing import Any

import pytest

from exporter.assembly import Exporter
from exporter.config import LivepeerTaskType
from exporter.simulator import Simulator
from tests.livepeer_support import POLL, STUDIO, counted, poll, record, states, tasks
from tests.support import START, DrivenClock, exporting, livepeer_config, samples, total, value


def test_given_a_whole_life_when_scraped_at_each_step_then_the_series_follow(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    task = account.add("upload", inputAssetId="in", outputAssetId="out", projectId="p")
    labels = {**STUDIO, "task": task, "task_type": "upload"}

    def shown() -> tuple[Any, ...]:
        simulator.clock.advance(10)
        poll(exporter, simulator)
        return (
            states(exporter)[task],
            value(exporter, "transcoding_task_progress_ratio", **labels),
            value(exporter, "transcoding_task_retries", **labels),
        )

    steps: list[tuple[Callable[[], None], tuple[Any, ...]]] = [
        (lambda: None, ("queued", None, None)),
        (lambda: account.schedule(task), ("queued", None, 0)),
        (lambda: account.progress(task, 0.4), ("running", 0.4, 0)),
        (lambda: account.progress(task, 0.3), ("running", 0.3, 0)),
        (lambda: account.progress(task), ("running", None, 0)),
        (lambda: account.fail_and_retry(task), ("queued", None, 1)),
        (lambda: account.resume(task), ("queued", None, 1)),
        (lambda: account.progress(task, 0.9), ("running", 0.9, 1)),
        # Progress and retries vanish from the answer: the one is complete, the other the last that was told.
        (lambda: account.complete(task), ("completed", 1, 1)),
    ]
    for act, expected in steps:
        act()
        assert shown() == expected
    assert counted(exporter, "transcoding_task_phase_entries_total", "phase") == {
        "pending": 1,
        "waiting": 2,
        "running": 2,
        "completed": 1,
    }
    assert total(exporter, "transcoding_retries_total") == 1
    assert value(exporter, "transcoding_task_created_timestamp_seconds", **labels) == START
    assert value(exporter, "transcoding_task_scheduled_timestamp_seconds", **labels) == START + 10
    assert value(exporter, "transcoding_task_finished_timestamp_seconds", **labels) == START + 80
    assert value(exporter, "transcoding_task_updated_timestamp_seconds", **labels) == START + 80
    info = {"project": "p", "input_asset": "in", "output_asset": "out"}
    assert value(exporter, "transcoding_task_info", **labels, **info) == 1


def test_given_a_task_that_fails_again_after_a_retry_by_hand_when_nobody_looked_then_it_failed_twice(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    poll(exporter, simulator)
    simulator.clock.advance(1)
    task = account.add("upload")
    account.schedule(task)
    account.fail(task, "file has zero duration")
    poll(exporter, simulator)

    simulator.clock.advance(15)
    account.retry_by_hand(task)
    simulator.clock.advance(5)
    account.fail(task, "error writing segment: no space left on device")
    for _ in range(3):
        poll(exporter, simulator)

    assert states(exporter)[task] == "failed"
    assert counted(exporter, "transcoding_task_failures_total", "reason") == {
        "source_media": 1,
        "resources": 1,
    }


def test_given_a_completed_task_when_a_late_error_comes_then_it_is_active_again_with_its_retry(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    poll(exporter, simulator)
    task = account.add("upload")
    simulator.clock.advance(1)
    account.complete(task)
    poll(exporter, simulator)
    simulator.clock.advance(1)
    account.late_error(task)
    poll(exporter, simulator)

    assert states(exporter)[task] == "queued"
    labels = {**STUDIO, "task": task, "task_type": "upload"}
    assert value(exporter, "transcoding_task_retries", **labels) == 1
    assert value(exporter, "transcoding_task_progress_ratio", **labels) is None
    assert value(exporter, "transcoding_task_finished_timestamp_seconds", **labels) is None
    assert total(exporter, "transcoding_retries_total") == 1

    simulator.clock.advance(1)
    account.complete(task)
    poll(exporter, simulator)
    assert states(exporter)[task] == "completed"
    assert counted(exporter, "transcoding_task_phase_entries_total", "phase") == {
        "completed": 2,
        "waiting": 1,
    }


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_given_a_failed_or_cancelled_task_when_a_late_success_comes_then_it_has_completed(
    simulator: Simulator, exporter: Exporter, end: str
) -> None:
    account = simulator.livepeer.account
    poll(exporter, simulator)
    task = account.add("upload")
    simulator.clock.advance(1)
    getattr(account, end)(task)
    poll(exporter, simulator)
    simulator.clock.advance(1)
    account.late_success(task)
    poll(exporter, simulator)

    assert states(exporter) == {task: "completed"}


def test_given_types_and_phases_that_nobody_knows_when_scraped_then_they_are_shown_as_what_they_are(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    new_type = account.add("super-resolution")
    old_type = account.add("import")
    new_phase = account.add("clip")
    account.set_status(new_phase, phase="paused", progress=0.25)
    no_phase = account.add("clip")
    account.set_status(no_phase, phase="")

    poll(exporter, simulator)

    assert {
        dict(labels)["task"]: (dict(labels)["task_type"], dict(labels)["phase"], dict(labels)["state"])
        for labels in samples(exporter, "transcoding_task_phase", **STUDIO)
    } == {
        new_type: ("other", "pending", "queued"),
        old_type: ("import", "pending", "queued"),
        new_phase: ("clip", "paused", "unknown"),
        no_phase: ("clip", "unknown", "unknown"),
    }


def test_given_wanted_types_when_scraped_then_the_others_are_left_out(
    simulator: Simulator, clock: DrivenClock
) -> None:
    account = simulator.livepeer.account
    wanted = {account.add("upload"), account.add("transcode-file")}
    for task_type in ("import", "export", "export-data", "clip", "super-resolution"):
        account.add(task_type)
    types = (LivepeerTaskType.UPLOAD, LivepeerTaskType.TRANSCODE_FILE)
    with exporting(clock, livepeer_config(simulator, task_types=types), poll=POLL) as exporter:
        for _ in range(2):
            poll(exporter, simulator)
            assert tasks(exporter) == wanted
        assert total(exporter, "transcoding_tasks") == 2
        assert len(poll(exporter, simulator)) == 1


def test_given_a_lookback_when_first_scraped_then_what_was_updated_before_it_is_left_out(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.livepeer.account.load([record(1, START - 3601), record(2, START - 3599)])
    with exporting(clock, livepeer_config(simulator, lookback=3600.0), poll=POLL) as exporter:
        poll(exporter, simulator)
        assert tasks(exporter) == {"task-00002"}
