"""Livepeer's tasks that fall silent: in time they are asked about one by one, over real HTTP."""

import pytest

from exporter.assembly import Exporter
from exporter.simulator import Simulator
from tests.livepeer_support import STUDIO, errors, poll, states, tasks
from tests.support import value


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
