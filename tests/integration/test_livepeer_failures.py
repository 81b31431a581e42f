"""What becomes of an account at Livepeer when its API refuses, stumbles or talks nonsense."""

import json
from typing import Any

import pytest

from exporter.assembly import Exporter
from exporter.simulator import Fault, FaultKind, Simulator
from tests.livepeer_support import (
    POLL,
    STUDIO,
    Studio,
    counted,
    errors,
    load_many,
    poll,
    record,
    states,
    tasks,
    watch,
)
from tests.support import START, DrivenClock, exporting, value
from tests.wire import Asked, Wire, http

# --- Servers in trouble --------------------------------------------------------------------------------


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
    simulator: Simulator, exporter: Exporter
) -> None:
    many = load_many(simulator)
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


# --- Answers that are wrong ----------------------------------------------------------------------------


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
