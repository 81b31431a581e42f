"""Livepeer's list over real HTTP: of however many tasks, all are known, and a quiet scrape is cheap."""

import pytest

from exporter.assembly import Exporter
from exporter.simulator import Simulator
from tests.livepeer_support import (
    POLL,
    STUDIO,
    Studio,
    counted,
    errors,
    load_many,
    poll,
    record,
    tasks,
    watch,
)
from tests.support import START, DrivenClock, exporting, total, value
from tests.wire import Wire

LIST = {**STUDIO, "endpoint": "livepeer_list"}


def test_given_2350_tasks_when_first_scraped_then_all_are_known_after_3_requests(
    simulator: Simulator, exporter: Exporter
) -> None:
    many = load_many(simulator)
    asked = poll(exporter, simulator)

    assert len(asked) == 3
    assert total(exporter, "transcoding_tasks") == 2350
    assert tasks(exporter) == set(many)
    assert value(exporter, "transcoding_api_requests_total", **LIST, code="200") == 3
    assert simulator.connections == 1


def test_given_2350_tasks_when_nothing_changes_then_a_scrape_is_one_request_of_a_few_records(
    simulator: Simulator, exporter: Exporter
) -> None:
    load_many(simulator)
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
    simulator: Simulator, exporter: Exporter
) -> None:
    many = load_many(simulator)
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
