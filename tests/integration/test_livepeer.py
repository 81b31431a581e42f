"""Livepeer Studio over real HTTP: given its answers, when scraped, then these series and these requests."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from exporter.assembly import Exporter
from exporter.config import LivepeerConfig, LivepeerTaskType, PollConfig, Secret
from exporter.simulator import Fault, FaultKind, Request, SimulatedClock, Simulator
from tests.support import START, DrivenClock, exporting, livepeer_config, samples, total, value
from tests.wire import Asked, Wire, http

STUDIO = {"provider": "livepeer", "account": "studio"}
LIST = {**STUDIO, "endpoint": "livepeer_list"}

POLL = PollConfig(min_poll_interval=0, retention=400 * 86400.0)
DAY = 86400.0


@pytest.fixture
def exporter(simulator: Simulator, clock: DrivenClock) -> Iterator[Exporter]:
    """It watches everything, shows it for long, and has not asked yet."""
    with exporting(clock, livepeer_config(simulator, lookback=0), poll=POLL) as exporter:
        yield exporter


def record(number: int, updated: float, phase: str = "running", **fields: Any) -> dict[str, Any]:
    """A task as the API shows it; `updated` is in seconds."""
    status = {"phase": phase, "updatedAt": round(updated * 1000)}
    return {"id": f"task-{number:05}", "type": "clip", "createdAt": 1, "status": status, **fields}


def poll(exporter: Exporter, simulator: Simulator) -> list[Request]:
    """Scrape once, and return the requests that it led to."""
    simulator.requests.clear()
    exporter.refresh(30)
    return list(simulator.requests)


def tasks(exporter: Exporter) -> set[str]:
    """The tasks that have series."""
    return {dict(labels)["task"] for labels in samples(exporter, "transcoding_task_info", **STUDIO)}


def states(exporter: Exporter) -> dict[str, str]:
    """The state of each task."""
    return {
        dict(labels)["task"]: dict(labels)["state"]
        for labels in samples(exporter, "transcoding_task_phase", **STUDIO)
    }


def counted(exporter: Exporter, name: str, label: str, **labels: str) -> dict[str, float]:
    """The counter by one label, without what is 0."""
    sums: dict[str, float] = {}
    for found, number in samples(exporter, name, **STUDIO, **labels).items():
        key = dict(found)[label]
        sums[key] = sums.get(key, 0) + number
    return {key: number for key, number in sums.items() if number}


def errors(exporter: Exporter) -> dict[str, float]:
    return counted(exporter, "transcoding_api_errors_total", "reason")


# --- Many tasks --------------------------------------------------------------------------------------


@pytest.fixture
def many(simulator: Simulator) -> list[str]:
    """2,350 running tasks, one a minute, the newest a second ago."""
    loaded = [record(number, START - 60 * (2350 - number)) for number in range(2350)]
    ids = simulator.livepeer.account.load(loaded)
    simulator.clock.advance(1)
    return ids


def test_given_2350_tasks_when_first_scraped_then_all_are_known_after_3_requests(
    simulator: Simulator, exporter: Exporter, many: list[str]
) -> None:
    asked = poll(exporter, simulator)

    assert len(asked) == 3
    assert total(exporter, "transcoding_tasks") == 2350
    assert tasks(exporter) == set(many)
    assert value(exporter, "transcoding_api_requests_total", **LIST, code="200") == 3
    assert simulator.connections == 1


def test_given_2350_tasks_when_nothing_changes_then_a_scrape_is_one_request_of_a_few_records(
    simulator: Simulator, exporter: Exporter, many: list[str]
) -> None:
    whole = sum(request.sent_bytes for request in poll(exporter, simulator))

    for _ in range(3):
        simulator.clock.advance(15)
        asked = poll(exporter, simulator)

        assert len(asked) == 1
        # Three tasks were updated within the overlap of two minutes.
        assert asked[0].sent_bytes < whole / 50
    assert total(exporter, "transcoding_tasks") == 2350
    assert simulator.connections == 1


def test_given_2350_tasks_when_one_changes_then_a_scrape_is_one_request(
    simulator: Simulator, exporter: Exporter, many: list[str]
) -> None:
    whole = sum(request.sent_bytes for request in poll(exporter, simulator))
    simulator.clock.advance(15)
    simulator.livepeer.account.complete(many[7])

    asked = poll(exporter, simulator)

    assert len(asked) == 1
    assert asked[0].sent_bytes < whole / 50
    assert value(exporter, "transcoding_task_progress_ratio", **STUDIO, task=many[7], task_type="clip") == 1
    assert counted(exporter, "transcoding_task_phase_entries_total", "phase") == {
        "running": 2350,
        "completed": 1,
    }


def test_given_900_tasks_that_ended_at_once_when_nothing_follows_then_they_are_not_read_for_ever(
    simulator: Simulator, exporter: Exporter
) -> None:
    simulator.livepeer.account.load(record(number, START, "completed") for number in range(900))
    simulator.livepeer.account.load([record(900, START + 1, "completed")])
    simulator.clock.advance(2)
    whole = poll(exporter, simulator)[0].sent_bytes
    simulator.clock.advance(60)
    assert poll(exporter, simulator)[0].sent_bytes > whole / 2

    for _ in range(2):
        simulator.clock.advance(120)
        asked = poll(exporter, simulator)

    assert len(asked) == 1
    assert asked[0].sent_bytes < whole / 100
    assert total(exporter, "transcoding_tasks") == 901


@pytest.mark.parametrize("number", [1000, 2000, 2500])
def test_given_more_than_a_page_with_one_single_time_when_scraped_then_all_are_known(
    simulator: Simulator, exporter: Exporter, number: int
) -> None:
    simulator.livepeer.account.load(record(each, START) for each in range(number))
    simulator.livepeer.account.load([record(number, START + 1)])
    simulator.clock.advance(2)

    asked = poll(exporter, simulator)

    assert total(exporter, "transcoding_tasks") == number + 1
    assert total(exporter, "transcoding_task_phase_entries_total") == number + 1
    assert len(asked) <= number // 1000 + 2
    assert errors(exporter) == {}


@pytest.mark.parametrize("number", [0, 1, 19, 20, 21, 999, 1000, 1001])
def test_given_any_number_of_tasks_when_scraped_then_all_are_known(
    simulator: Simulator, exporter: Exporter, number: int
) -> None:
    simulator.livepeer.account.load(record(each, START - each) for each in range(number))

    asked = poll(exporter, simulator)

    assert total(exporter, "transcoding_tasks") == number
    assert len(asked) == (1 if number < 1000 else 2)
    assert value(exporter, "transcoding_up", **STUDIO) == 1


class Studio:
    """A list that changes between one page and the next, as the vendor's server would show it."""

    def __init__(self, records: Iterable[dict[str, Any]], between: Callable[["Studio"], None]) -> None:
        self.records = {each["id"]: each for each in records}
        self._between = between

    def answer(self, asked: Asked) -> bytes:
        (condition,) = json.loads(asked.query["filters"])
        assert asked.query["order"] == "updatedAt-false,id-false"
        since, limit = condition["value"]["gte"], int(asked.query["limit"])
        skip = int(asked.query.get("cursor", "skip0").removeprefix("skip"))
        found = sorted(
            (each for each in self.records.values() if each["status"]["updatedAt"] >= since),
            key=lambda each: (each["status"]["updatedAt"], each["id"]),
        )
        page = json.dumps(found[skip : skip + limit]).encode()
        self._between(self)
        return http(200, page)

    def touch(self, number: int, updated: float) -> None:
        self.records[f"task-{number:05}"] = record(number, updated, progress=0.5)


def watch(wire: Wire, **options: Any) -> LivepeerConfig:
    return LivepeerConfig(
        **{
            "name": "studio",
            "api_key": Secret("0000"),
            "base_url": f"{wire.url}/api",
            "lookback": 0,
            **options,
        }
    )


@pytest.mark.parametrize("spread", [0.0, 0.001], ids=["one-single-time", "a-time-each"])
def test_given_tasks_that_change_or_vanish_while_pages_are_read_then_none_is_missed_or_counted_twice(
    spread: float, clock: DrivenClock
) -> None:
    moved = iter(range(0, 2500, 7))

    def between(studio: Studio) -> None:
        for number in [next(moved) for _ in range(40)]:
            studio.touch(number, START - 1 + number / 1e6)
        del studio.records[f"task-{next(moved):05}"]

    studio = Studio([record(each, START - 100 + each * spread) for each in range(2500)], between)
    with Wire(studio.answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)

        assert tasks(exporter) >= studio.records.keys()
        assert total(exporter, "transcoding_task_phase_entries_total") == len(tasks(exporter))
        assert errors(exporter) == {}
        assert len(wire.asked) <= 4


# --- The life of a task ------------------------------------------------------------------------------


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


# --- Times -------------------------------------------------------------------------------------------


def test_given_a_row_that_becomes_visible_late_when_scraped_then_it_is_found_behind_newer_ones(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    late = account.add("upload", late=90.0)
    changed = account.add("upload")
    simulator.clock.advance(30)
    account.progress(changed, 0.5, late=60.0)
    newest = account.add("upload")
    poll(exporter, simulator)
    assert (tasks(exporter), states(exporter)[changed]) == ({changed, newest}, "queued")

    for _ in range(4):
        simulator.clock.advance(15)
        poll(exporter, simulator)

    assert tasks(exporter) == {late, changed, newest}
    assert states(exporter)[changed] == "running"


def test_given_a_replica_that_lags_when_it_answers_then_an_older_state_replaces_no_newer_one(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    poll(exporter, simulator)
    task = account.add("upload")
    simulator.clock.advance(5)
    account.progress(task, 0.5)
    simulator.clock.advance(5)
    account.complete(task)
    for lag in (0.0, 3.0, 8.0, 0.0):
        account.lag = lag
        poll(exporter, simulator)
        assert states(exporter) == {task: "completed"}
    assert counted(exporter, "transcoding_task_phase_entries_total", "phase") == {"completed": 1}


def test_given_a_task_from_the_future_when_scraped_then_what_happens_until_then_is_seen(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    task = account.add("upload")
    odd = account.add("upload")
    account.set_status(odd, phase="running", updatedAt=round((START + 30 * DAY) * 1000))
    poll(exporter, simulator)

    simulator.clock.advance(3600)
    account.progress(task, 0.5)
    later = account.add("upload")
    poll(exporter, simulator)
    account.complete(task)
    simulator.clock.advance(15)
    asked = poll(exporter, simulator)

    assert states(exporter) == {task: "completed", odd: "running", later: "queued"}
    assert len(asked) == 1


def test_given_an_account_that_was_idle_for_weeks_when_scraped_then_its_last_tasks_count_no_second_time(
    simulator: Simulator, clock: DrivenClock
) -> None:
    account = simulator.livepeer.account
    short = PollConfig(min_poll_interval=0, retention=900.0)
    with exporting(clock, livepeer_config(simulator), poll=short) as exporter:
        poll(exporter, simulator)
        simulator.clock.advance(1)
        account.fail(account.add("upload"))
        for _ in range(3):
            poll(exporter, simulator)
            simulator.clock.advance(15)
        for _ in range(5):
            simulator.clock.advance(8 * DAY)
            poll(exporter, simulator)
            poll(exporter, simulator)

        assert total(exporter, "transcoding_task_failures_total") == 1
        assert tasks(exporter) == set()


def test_given_a_restart_and_a_deletion_when_scraped_then_forgotten_tasks_count_no_second_time(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path
) -> None:
    account = simulator.livepeer.account

    def running() -> AbstractContextManager[Exporter]:
        return exporting(
            clock,
            livepeer_config(simulator),
            poll=PollConfig(min_poll_interval=0),
            storage=f"sqlite:///{tmp_path}/ledger.db",
        )

    with running() as exporter:
        poll(exporter, simulator)
        for pause in (1, 60, 90):
            simulator.clock.advance(pause)
            newest = account.add("upload")
            account.fail(newest)
        for _ in range(2):
            poll(exporter, simulator)
            simulator.clock.advance(8 * DAY)
        poll(exporter, simulator)
    account.delete(newest)
    with running() as exporter:
        for _ in range(3):
            poll(exporter, simulator)

        assert total(exporter, "transcoding_task_failures_total") == 3


# --- Tasks that fall silent --------------------------------------------------------------------------


@pytest.mark.parametrize("purge", [True, False], ids=["404", "deleted-flag"])
def test_given_a_deleted_task_when_it_was_silent_for_10_minutes_then_it_is_asked_about_and_gone(
    simulator: Simulator, exporter: Exporter, purge: bool
) -> None:
    account = simulator.livepeer.account
    task = account.add("upload")
    poll(exporter, simulator)
    account.delete(task, purge=purge)

    simulator.clock.advance(599)
    poll(exporter, simulator)
    assert tasks(exporter) == {task}

    simulator.clock.advance(2)
    asked = poll(exporter, simulator)
    assert [request.path for request in asked] == ["/api/task", f"/api/task/{task}"]
    assert tasks(exporter) == set()
    assert value(exporter, "transcoding_up", **STUDIO) == 1
    assert errors(exporter) == {}

    simulator.clock.advance(3600)
    assert len(poll(exporter, simulator)) == 1


def test_given_a_deleted_task_that_had_ended_when_the_retention_is_over_then_nobody_asked_about_it(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    task = account.add("upload")
    account.complete(task)
    poll(exporter, simulator)
    account.delete(task)

    simulator.clock.advance(3600)
    assert [request.target for request in poll(exporter, simulator)] == ["livepeer_list"]


def test_given_many_silent_tasks_when_scraped_then_a_few_at_a_time_are_asked_about(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    silent = {account.add("upload") for _ in range(12)}
    # What comes later moves the overlap on.
    simulator.clock.advance(300)
    account.complete(account.add("upload"))
    poll(exporter, simulator)

    def alone() -> list[str]:
        return [request.path.rpartition("/")[2] for request in poll(exporter, simulator)[1:]]

    simulator.clock.advance(301)
    assert alone() == []
    simulator.clock.advance(300)
    rounds = [alone() for _ in range(4)]
    assert [len(each) for each in rounds] == [5, 5, 2, 0]
    assert {task for each in rounds for task in each} == silent
    assert tasks(exporter) >= silent


def test_given_a_task_that_stays_silent_when_scraped_then_it_is_asked_about_ever_less_often(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    account.add("upload")
    simulator.clock.advance(300)
    account.complete(account.add("upload"))
    poll(exporter, simulator)

    minutes = []
    for minute in range(1, 240):
        simulator.clock.advance(60)
        if len(poll(exporter, simulator)) > 1:
            minutes.append(minute)

    # After a silence as long again, and at most an hour.
    assert minutes == [10, 20, 40, 80, 140, 200]


def test_given_a_silent_task_that_changed_unseen_when_asked_about_then_it_is_up_to_date(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    task = account.add("upload", id="old ones: ü/%2F")
    simulator.clock.advance(10)
    account.complete(task, late=400.0)
    simulator.clock.advance(390)
    account.complete(account.add("upload"))
    poll(exporter, simulator)
    assert states(exporter)[task] == "queued"

    simulator.clock.advance(601)
    poll(exporter, simulator)

    assert states(exporter)[task] == "completed"
    assert errors(exporter) == {}


# --- Servers in trouble ------------------------------------------------------------------------------


def test_given_one_record_that_the_server_cannot_clean_when_scraped_then_all_the_others_come(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    good = account.load(record(each, START - 5000 + each) for each in range(1500))
    simulator.clock.advance(1)
    account.add_bad_record()
    simulator.clock.advance(1)
    good += account.load(record(each, START + 10) for each in range(1500, 2350))

    asked = poll(exporter, simulator)

    assert tasks(exporter) == set(good)
    assert len(asked) <= 16
    assert value(exporter, "transcoding_up", **STUDIO) == 1
    assert errors(exporter) == {"server": sum(request.status == 500 for request in asked)}

    simulator.clock.advance(15)
    account.progress(good[0], 0.5)
    assert len(poll(exporter, simulator)) <= 23
    assert value(exporter, "transcoding_task_progress_ratio", **STUDIO, task=good[0], task_type="clip") == 0.5

    # Once newer ones have moved the overlap on, the bad one is behind it.
    simulator.clock.advance(300)
    account.progress(good[0], 0.6)
    poll(exporter, simulator)
    assert len(poll(exporter, simulator)) == 1


def test_given_an_idle_account_whose_newest_record_is_bad_when_scraped_then_it_takes_few_requests(
    simulator: Simulator, exporter: Exporter
) -> None:
    account = simulator.livepeer.account
    account.load(record(each, START - 1000 + each) for each in range(500))
    simulator.clock.advance(1)
    account.add_bad_record()

    for _ in range(5):
        simulator.clock.advance(60)
        asked = poll(exporter, simulator)

    assert len(tasks(exporter)) == 500
    assert len(asked) <= 7


def test_given_a_500_that_passes_when_scraped_then_the_rest_is_read_in_whole_pages(
    simulator: Simulator, exporter: Exporter, many: list[str]
) -> None:
    simulator.faults.set("livepeer_list", Fault(FaultKind.SERVER_ERROR, times=1))

    asked = poll(exporter, simulator)

    assert tasks(exporter) == set(many)
    # One that failed, nine of 125 that go over what it asked for, and two more pages.
    assert len(asked) <= 12


def test_given_a_server_that_answers_500_to_everything_when_scraped_then_it_is_left_alone(
    simulator: Simulator, exporter: Exporter
) -> None:
    task = simulator.livepeer.account.add("upload")
    poll(exporter, simulator)
    simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR))

    first = poll(exporter, simulator)
    later = []
    for _ in range(10):
        simulator.clock.advance(15)
        later.append(len(poll(exporter, simulator)))

    assert len(first) <= 12
    assert later == [1] * 10
    assert value(exporter, "transcoding_up", **STUDIO) == 0
    assert errors(exporter) == {"server": len(first) + 10}
    assert tasks(exporter) == {task}

    simulator.faults.clear()
    simulator.clock.advance(15)
    simulator.livepeer.account.progress(task, 0.5)
    poll(exporter, simulator)
    assert value(exporter, "transcoding_up", **STUDIO) == 1
    assert states(exporter) == {task: "running"}


class Plain:
    """A server whose list is newest first, 20 tasks a page, and which takes the known parameters only."""

    def __init__(self, number: int, *, known: Iterable[str] = (), refuse: bool = False) -> None:
        self.records = [record(each, START - 60 * each) for each in range(number)]
        self.known = {"cursor", *known}
        self.refuse = refuse
        self.host = "127.0.0.1:1"

    def answer(self, asked: Asked) -> bytes:
        if asked.path != "/api/task":
            alone = next(each for each in self.records if asked.path == f"/api/task/{each['id']}")
            return http(200, json.dumps(alone).encode())
        if self.refuse and not asked.query.keys() <= self.known:
            return http(400, b'{"errors":["error parsing filters"]}')
        limit = int(asked.query.get("limit", "20")) if "limit" in self.known else 20
        skip = int(asked.query.get("cursor", "skip0").removeprefix("skip"))
        page = self.records[skip : skip + limit]
        if not page:
            return http(200, b"[]")
        cursor = f"skip{skip + limit}" if len(page) == limit else "undefined"
        link = f'Link: <http://{self.host}/api/task?cursor={cursor}>; rel="next"'
        return http(200, json.dumps(page).encode(), link)


@pytest.mark.parametrize("refuse", [True, False], ids=["refused", "ignored"])
@pytest.mark.parametrize("known", [(), ("limit",)], ids=["20-a-page", "limit"])
@pytest.mark.parametrize("number", [1, 20, 70])
def test_given_a_server_that_does_not_take_our_parameters_when_scraped_then_still_all_tasks_are_known(
    clock: DrivenClock, refuse: bool, known: tuple[str, ...], number: int
) -> None:
    plain = Plain(number, known=known, refuse=refuse)
    with Wire(plain.answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)

        assert tasks(exporter) == {each["id"] for each in plain.records}
        assert value(exporter, "transcoding_up", **STUDIO) == 1
        assert len(wire.asked) <= 8


def test_given_a_plain_list_that_breaks_off_when_scraped_again_then_its_older_part_comes_too(
    clock: DrivenClock,
) -> None:
    def answer(asked: Asked) -> bytes:
        return http(404) if breaks and "cursor" in asked.query else plain.answer(asked)

    plain, breaks = Plain(70, refuse=True), True
    with Wire(answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)
        assert len(tasks(exporter)) == 20

        breaks = False
        exporter.refresh(30)
        assert len(tasks(exporter)) == 70


def test_given_a_server_that_refuses_our_parameters_when_scraped_on_then_a_scrape_is_one_request_for_an_hour(
    simulator: Simulator, clock: DrivenClock
) -> None:
    plain = Plain(70, refuse=True)
    with Wire(plain.answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)
        first = len(wire.asked)
        for _ in range(100):
            simulator.clock.advance(30)
            del wire.asked[:]
            plain.records.insert(0, record(len(plain.records), clock.time() - 1))
            exporter.refresh(30)
            assert [asked.path for asked in wire.asked if asked.path == "/api/task"] == ["/api/task"]
            assert "filters" not in wire.asked[0].query

        assert tasks(exporter) == {each["id"] for each in plain.records}
        assert total(exporter, "transcoding_task_phase_entries_total") == 170
        assert errors(exporter) == {"client": 2}
        assert first == 6

        simulator.clock.advance(600)
        del wire.asked[:]
        exporter.refresh(30)
        assert "filters" in wire.asked[0].query


def test_given_a_plain_list_of_old_tasks_when_scraped_for_weeks_then_none_counts_twice(
    simulator: Simulator, clock: DrivenClock
) -> None:
    plain = Plain(0, refuse=True)
    short = PollConfig(min_poll_interval=0, retention=900.0)
    with Wire(plain.answer) as wire, exporting(clock, watch(wire), poll=short) as exporter:
        exporter.refresh(30)
        for number in range(40):
            simulator.clock.advance(DAY / 2)
            plain.records.insert(0, record(number, clock.time() - 1, "failed"))
            for _ in range(2):
                exporter.refresh(30)

        assert total(exporter, "transcoding_task_failures_total") == 40


def test_given_a_server_that_cuts_our_limit_when_scraped_then_all_tasks_are_known(clock: DrivenClock) -> None:
    def answer(asked: Asked) -> bytes:
        limited = asked.target.replace("limit=1000", "limit=100")
        answer = studio.answer(Asked(limited, asked.headers))
        body = answer.partition(b"\r\n\r\n")[2]
        cursor = "skip100" if len(json.loads(body)) == 100 else "undefined"
        return http(200, body, f'Link: <http://x/api/task?cursor={cursor}>; rel="next"')

    studio = Studio([record(each, START - each // 2) for each in range(350)], lambda _: None)
    with Wire(answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)

        assert len(tasks(exporter)) == 350


def test_given_a_link_to_another_host_when_read_on_then_only_its_cursor_is_used(clock: DrivenClock) -> None:
    with Wire(lambda _: http(200, b"[]")) as elsewhere:
        plain = Plain(50, refuse=True)
        plain.host = elsewhere.url.removeprefix("http://")
        with Wire(plain.answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
            exporter.refresh(30)

            assert len(tasks(exporter)) == 50
            assert {asked.headers["authorization"] for asked in wire.asked} == {"Bearer 0000"}
        assert elsewhere.connections == 0


def test_given_the_same_full_page_for_ever_when_scraped_then_it_ends(clock: DrivenClock) -> None:
    page = json.dumps([record(each, START) for each in range(20)]).encode()
    counter = iter(range(1000))

    def answer(asked: Asked) -> bytes:
        cursor = f"skip{next(counter)}"
        return http(200, page, f'Link: <http://x/api/task?cursor={cursor}>; rel="next"')

    with Wire(answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)

        assert len(tasks(exporter)) == 20
        assert len(wire.asked) <= 6


# --- Answers that are wrong --------------------------------------------------------------------------


def test_given_malformed_tasks_in_a_page_when_scraped_then_they_are_counted_and_the_others_come(
    clock: DrivenClock, capfd: pytest.CaptureFixture[str]
) -> None:
    page: list[Any] = [record(each, START - 100 + each) for each in range(5)]
    broken: list[Any] = [
        None,
        7,
        [],
        {},
        {"id": "no-status", "type": "clip"},
        {"id": 5, "type": "clip", "status": {"phase": "running", "updatedAt": 1}},
        {"id": "", "type": "clip", "status": {"phase": "running", "updatedAt": 1}},
        {"id": "words", "type": "clip", "status": {"phase": "running", "updatedAt": "yesterday"}},
        {"id": "much", "type": "clip", "status": {"phase": "running", "progress": "half"}},
    ]
    body = json.dumps(page[:2] + broken + page[2:]).encode()
    with Wire(lambda _: http(200, body)) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)

        assert tasks(exporter) == {each["id"] for each in page}
        assert value(exporter, "transcoding_up", **STUDIO) == 1
        assert errors(exporter) == {"invalid_response": len(broken)}
        assert len(wire.asked) == 1
    assert "tasks skipped" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (FaultKind.SERVER_ERROR, "server"),
        (FaultKind.HTML_ERROR, "server"),
        (FaultKind.EMPTY, "invalid_response"),
        (FaultKind.TRUNCATED_JSON, "invalid_response"),
        (FaultKind.WRONG_TYPES, "invalid_response"),
        (FaultKind.REDIRECT, "invalid_response"),
        (FaultKind.RATE_LIMITED, "rate_limited"),
        (FaultKind.RESET, "connection"),
        (FaultKind.OVERSIZE, "too_large"),
        (FaultKind.GZIP_BOMB, "too_large"),
        (FaultKind.API_ERROR, "invalid_response"),
    ],
)
def test_given_a_fault_when_scraped_then_the_account_is_down_and_its_tasks_stay_until_it_is_back(
    simulator: Simulator, exporter: Exporter, kind: FaultKind, reason: str
) -> None:
    account = simulator.livepeer.account
    known = [account.add("upload"), account.add("clip")]
    poll(exporter, simulator)
    simulator.faults.set("livepeer", Fault(kind, location="http://127.0.0.1:1/"))
    simulator.clock.advance(15)
    account.progress(known[0], 0.5)
    poll(exporter, simulator)

    assert value(exporter, "transcoding_up", **STUDIO) == 0
    assert value(exporter, "transcoding_polls_total", **STUDIO, outcome="error") == 1
    assert value(exporter, "transcoding_poll_last_success_timestamp_seconds", **STUDIO) == START
    assert errors(exporter).keys() == {reason}
    assert states(exporter) == dict.fromkeys(known, "queued")

    simulator.faults.clear()
    simulator.clock.advance(15)
    poll(exporter, simulator)
    assert value(exporter, "transcoding_up", **STUDIO) == 1
    assert states(exporter) == {known[0]: "running", known[1]: "queued"}


def test_given_too_many_requests_when_scraped_again_then_nothing_is_asked_until_the_pause_is_over(
    simulator: Simulator, exporter: Exporter
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.RATE_LIMITED, retry_after=40, times=1))
    assert len(poll(exporter, simulator)) == 1

    for _ in range(2):
        simulator.clock.advance(15)
        assert poll(exporter, simulator) == []
        assert value(exporter, "transcoding_up", **STUDIO) == 0
    simulator.clock.advance(15)
    assert len(poll(exporter, simulator)) == 1
    assert value(exporter, "transcoding_up", **STUDIO) == 1
    assert counted(exporter, "transcoding_polls_total", "outcome") == {
        "error": 1,
        "skipped": 2,
        "success": 1,
    }


def test_given_a_page_that_fails_when_scraped_again_then_it_is_read_on_from_there(
    clock: DrivenClock,
) -> None:
    pages = 0

    # The second page never comes.
    def answer(asked: Asked) -> bytes:
        nonlocal pages
        pages += 1
        return http(404) if pages == 2 else lists.answer(asked)

    lists = Studio([record(each, START - 60 * (2350 - each)) for each in range(2350)], lambda _: None)
    with Wire(answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)
        assert len(tasks(exporter)) == 1000
        assert value(exporter, "transcoding_up", **STUDIO) == 1
        assert value(exporter, "transcoding_polls_total", **STUDIO, outcome="partial") == 1

        exporter.refresh(30)
        assert len(tasks(exporter)) == 2350
        assert len(wire.asked) == 4


# --- Keys and accounts -------------------------------------------------------------------------------


def test_given_a_wrong_key_when_scraped_then_it_is_shown_nowhere(
    simulator: Simulator, clock: DrivenClock, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = livepeer_config(simulator, api_key=Secret("not-a-key-123"))
    with exporting(clock, wrong, poll=POLL) as exporter:
        poll(exporter, simulator)
        assert errors(exporter) == {"auth": 1}
        metrics = str(list(exporter.registry.collect()))
    logged = "".join(capfd.readouterr())
    assert "no token *** found" in logged
    assert "not-a-key-123" not in logged + metrics


@pytest.mark.parametrize("fault", ["suspended", "browser_only", "revoked"])
def test_given_an_account_that_is_shut_out_when_scraped_then_the_reason_is_auth_and_one_request_is_made(
    simulator: Simulator, exporter: Exporter, fault: str
) -> None:
    poll(exporter, simulator)
    if fault == "revoked":
        simulator.livepeer.revoke(simulator.livepeer_key)
    else:
        setattr(simulator.livepeer.account, fault, True)

    assert len(poll(exporter, simulator)) == 1
    assert errors(exporter) == {"auth": 1}
    assert value(exporter, "transcoding_up", **STUDIO) == 0


@pytest.mark.parametrize(
    "kind", [FaultKind.RESET, FaultKind.HANG, FaultKind.TRUNCATED_JSON, FaultKind.RATE_LIMITED]
)
def test_given_two_accounts_when_one_fails_then_the_other_is_fresh(
    clock: DrivenClock, kind: FaultKind
) -> None:
    with (
        Simulator(clock=SimulatedClock(start=START, speed=0.0)) as sick,
        Simulator(clock=SimulatedClock(start=START, speed=0.0)) as well,
    ):
        configs = livepeer_config(sick, name="sick"), livepeer_config(well, name="well")
        quick = PollConfig(min_poll_interval=0, timeout=0.5)
        with exporting(DrivenClock(well.clock), *configs, poll=quick) as exporter:
            task = well.livepeer.account.add("upload")
            stale = sick.livepeer.account.add("upload")
            exporter.refresh(30)
            sick.faults.set("livepeer", Fault(kind))
            for simulator, moved in ((well, task), (sick, stale)):
                simulator.clock.advance(15)
                simulator.livepeer.account.progress(moved, 0.5)
            exporter.refresh(30)

            assert samples(exporter, "transcoding_up", provider="livepeer") == {
                (("account", "sick"),): 0,
                (("account", "well"),): 1,
            }
            assert samples(exporter, "transcoding_task_progress_ratio") == {
                (("account", "well"), ("provider", "livepeer"), ("task", task), ("task_type", "upload")): 0.5
            }
            assert total(exporter, "transcoding_tasks", account="sick", phase="pending") == 1
            assert total(exporter, "transcoding_api_errors_total", account="well") == 0
            assert total(exporter, "transcoding_api_errors_total", account="sick") >= 1


def test_given_two_accounts_at_one_address_when_scraped_then_each_is_asked_with_its_own_key(
    clock: DrivenClock,
) -> None:
    keys = {"key-of-one": "one", "key-of-two": "two"}
    with Simulator(clock=SimulatedClock(start=START, speed=0.0), livepeer_keys=keys) as simulator:
        configs = [livepeer_config(simulator, name=name, api_key=Secret(key)) for key, name in keys.items()]
        added = {name: simulator.livepeer.accounts[key].add("upload") for key, name in keys.items()}
        with exporting(DrivenClock(simulator.clock), *configs, poll=POLL) as exporter:
            exporter.refresh(30)

            assert {
                dict(labels)["account"]: dict(labels)["task"]
                for labels in samples(exporter, "transcoding_task_info", provider="livepeer")
            } == added
