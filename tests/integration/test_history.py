"""What had ended when an account was first watched is no news: by real clocks, where time always passes."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.assembly import Exporter
from exporter.clock import SystemClock
from exporter.config import Config, PollConfig, QencodeConfig
from exporter.config_sections import StorageConfig
from exporter.simulator import Fault, FaultKind, SimulatedClock, Simulator
from tests.status_server import StatusServer, statuses
from tests.support import exporting, livepeer_config, qencode_config, total

POLL = PollConfig(min_poll_interval=0)


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def simulator() -> Simulator:
    """At the present time, which goes on."""
    return Simulator(clock=SimulatedClock(start=time.time()))


def failures(exporter: Exporter) -> float:
    return total(exporter, "transcoding_task_failures_total")


def alarming(exporter: Exporter) -> tuple[float, float]:
    """What the alerts on failed tasks look at."""
    return total(exporter, "transcoding_task_failure_info"), total(exporter, "transcoding_failed_tasks")


def reload(exporter: Exporter, *accounts: QencodeConfig, poll: PollConfig = POLL) -> None:
    exporter.reconfigure(Config(poll=poll, qencode=accounts, storage=StorageConfig(url="memory://")))


@pytest.mark.parametrize("kind", ["memory", "ledger"])
def test_given_tasks_that_failed_long_ago_when_first_scraped_then_none_counts_and_later_ones_do(
    simulator: Simulator, storage: str, kind: str
) -> None:
    with simulator:
        fixed, discovered = simulator.qencode.add("encoding"), simulator.qencode.add("encoding")
        upload = simulator.livepeer.account.add("upload")
        simulator.qencode.fail(fixed)
        simulator.qencode.fail(discovered)
        simulator.livepeer.account.fail(upload)
        simulator.clock.advance(60)
        accounts = (
            qencode_config(simulator, fixed, task_tokens_http=simulator.tokens_url),
            livepeer_config(simulator),
        )
        with exporting(
            SystemClock(), *accounts, poll=POLL, storage=storage if kind == "ledger" else "memory://"
        ) as exporter:
            exporter.refresh(10)
            assert failures(exporter) == 0
            assert alarming(exporter) == (0, 0)

            running = simulator.livepeer.account.add("upload")
            exporter.refresh(10)
            simulator.livepeer.account.fail(running)
            exporter.refresh(10)
            assert failures(exporter) == 1
            assert alarming(exporter) == (1, 1)


def test_given_jobs_that_failed_long_ago_when_a_mistake_is_mended_by_a_reload_then_none_counts(
    simulator: Simulator,
) -> None:
    with simulator:
        token = simulator.qencode.add("encoding")
        simulator.qencode.fail(token)
        simulator.clock.advance(60)
        right = qencode_config(simulator, token)
        wrong = replace(right, base_url="http://127.0.0.1:9")
        with exporting(SystemClock(), wrong, poll=POLL) as exporter:
            exporter.refresh(10)
            reload(exporter, right)
            exporter.refresh(10)

            assert total(exporter, "transcoding_tasks", state="failed") == 1
            assert failures(exporter) == 0
            assert alarming(exporter) == (0, 0)


def test_given_a_job_that_was_not_answered_for_when_reloaded_then_it_is_history_and_new_ones_count() -> None:
    running, failed, unreadable = {"status": "encoding"}, {"status": "error", "error": 1}, {"status": 7}
    with StatusServer(lambda _: statuses(job=running, late=unreadable)) as api:
        before = QencodeConfig(name="vod", task_tokens=("job", "late"), base_url=api.url)
        after = replace(before, task_tokens=("job", "late", "new"))
        with exporting(SystemClock(), before, poll=POLL) as exporter:
            exporter.refresh(10)
            assert total(exporter, "transcoding_tasks") == 1
            api.answering = lambda _: statuses(job=running, late=failed, new=failed)
            reload(exporter, after)
            exporter.refresh(10)

            assert total(exporter, "transcoding_tasks", state="failed") == 2
            assert failures(exporter) == 1
            assert alarming(exporter) == (1, 1)


def test_given_an_account_that_went_when_it_comes_again_then_its_tokens_are_watched_since_then() -> None:
    with StatusServer(lambda _: statuses(job={"status": "encoding"}, late={"status": 7})) as api:
        account = QencodeConfig(name="vod", task_tokens=("job", "late"), base_url=api.url)
        with exporting(SystemClock(), account, poll=POLL) as exporter:
            exporter.refresh(10)
            api.answering = lambda _: statuses(late={"status": "error", "error": 1})
            for accounts in ((), (account,)):
                reload(exporter, *accounts)
            exporter.refresh(10)

            assert failures(exporter) == 1


def test_given_a_discovery_that_was_down_when_reloaded_then_what_it_brings_is_history(
    simulator: Simulator,
) -> None:
    with simulator:
        fixed, found = simulator.qencode.add("encoding"), simulator.qencode.add("encoding")
        simulator.qencode.fail(found)
        simulator.faults.set("discovery", Fault(FaultKind.SERVER_ERROR, status=500))
        account = qencode_config(simulator, fixed, task_tokens_http=simulator.tokens_url)
        with exporting(SystemClock(), account, poll=POLL) as exporter:
            exporter.refresh(10)
            assert total(exporter, "transcoding_tasks") == 1
            simulator.faults.clear()
            quicker = replace(POLL, concurrency=7)
            reload(exporter, account, poll=quicker)
            exporter.refresh(10)

            assert total(exporter, "transcoding_tasks", state="failed") == 1
            assert failures(exporter) == 0
            assert alarming(exporter) == (0, 0)


def test_given_a_token_with_a_mistake_when_a_reload_mends_it_then_a_job_that_failed_long_ago_is_history(
    simulator: Simulator,
) -> None:
    with simulator:
        token = simulator.qencode.add("encoding")
        simulator.qencode.fail(token)
        wrong, right = (qencode_config(simulator, one) for one in (f"{token}-", token))
        with exporting(SystemClock(), wrong, poll=POLL) as exporter:
            exporter.refresh(10)
            reload(exporter, right)
            exporter.refresh(10)

            assert total(exporter, "transcoding_tasks", state="failed") == 1
            assert failures(exporter) == 0


def test_given_a_token_that_is_added_after_a_restart_when_scraped_then_its_failure_counts(
    simulator: Simulator, storage: str
) -> None:
    with simulator:
        first, second = simulator.qencode.add("encoding"), simulator.qencode.add("encoding")
        with exporting(
            SystemClock(), qencode_config(simulator, first), poll=POLL, storage=storage
        ) as exporter:
            exporter.refresh(10)
        simulator.qencode.fail(first)
        simulator.qencode.fail(second)
        accounts = qencode_config(simulator, first, second)
        with exporting(SystemClock(), accounts, poll=POLL, storage=storage) as exporter:
            exporter.refresh(10)
            assert failures(exporter) == 2
