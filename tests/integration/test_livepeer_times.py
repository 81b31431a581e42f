"""Livepeer's times over real HTTP: rows that come late, replicas that lag, and what was seen long ago."""

from contextlib import AbstractContextManager
from pathlib import Path

from exporter.assembly import Exporter
from exporter.config import PollConfig
from exporter.simulator import Simulator
from tests.livepeer_support import DAY, counted, poll, states, tasks
from tests.support import START, DrivenClock, exporting, livepeer_config, total


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
