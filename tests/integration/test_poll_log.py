"""What the log says about polls and failures: enough to act on, and not the same line four times a minute."""

from collections.abc import Mapping, Sequence
from typing import Any

from structlog.testing import capture_logs

from exporter.config import MetricsConfig, PollConfig, TaskLabel
from exporter.poll_log import REPEAT
from exporter.simulator import Fault, FaultKind, Simulator
from tests.support import DrivenClock, exporting, livepeer_config, qencode_config

POLL = PollConfig(min_poll_interval=0)


def lines(logs: Sequence[Mapping[str, Any]], *events: str) -> list[Mapping[str, Any]]:
    return [line for line in logs if line["event"] in events]


def test_given_an_outage_when_polled_often_then_it_is_told_at_its_begin_now_and_then_and_at_its_end(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR, status=503))
    with capture_logs() as logs, exporting(clock, livepeer_config(simulator), poll=POLL) as exporter:
        for _ in range(5):
            exporter.refresh(10)
            simulator.clock.advance(REPEAT / 4)
        simulator.faults.clear()
        exporter.refresh(10)
        exporter.refresh(10)

    told = lines(logs, "poll failed", "polls work again")
    assert [line["event"] for line in told] == ["poll failed", "poll failed", "polls work again"]
    first, again, over = told
    assert (first["reason"], first["endpoint"], first["polls"]) == ("server", "livepeer_list", 1)
    assert again["polls"] == 5
    assert over["after_seconds"] == 5 * REPEAT / 4


def test_given_another_trouble_in_an_outage_then_it_is_told_at_once(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR, status=503))
    with capture_logs() as logs, exporting(clock, livepeer_config(simulator), poll=POLL) as exporter:
        exporter.refresh(10)
        simulator.faults.set("livepeer", Fault(FaultKind.EMPTY))
        exporter.refresh(10)
    assert [line["reason"] for line in lines(logs, "poll failed")] == ["server", "invalid_response"]


def test_given_tasks_that_fail_then_each_is_told_once_with_the_providers_words(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding")
    task = simulator.livepeer.account.add("upload")
    accounts = (qencode_config(simulator, token), livepeer_config(simulator))
    with capture_logs() as logs, exporting(clock, *accounts, poll=POLL) as exporter:
        exporter.refresh(10)
        simulator.clock.advance(15)
        simulator.qencode.fail(token, "Failed to download source: HTTP 404")
        simulator.livepeer.account.fail(task, "PUT https://key:s3cret@s3.example/out?sig=abc failed: 403")
        for _ in range(3):
            exporter.refresh(10)
            simulator.clock.advance(15)

    told = {str(line["task"]): line for line in lines(logs, "task failed")}
    assert len(lines(logs, "task failed")) == 2
    assert told[token]["error"] == "Failed to download source: HTTP 404"
    assert told[token]["reason"] == "source_download"
    assert told[task]["error"] == "PUT https://***@s3.example/out?*** failed: 403"
    assert (told[task]["account"], told[task]["task_type"]) == ("livepeer/studio", "upload")


def test_given_task_label_hash_then_a_failure_is_told_without_the_token(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding")
    hashed = MetricsConfig(task_label=TaskLabel.HASH)
    with (
        capture_logs() as logs,
        exporting(clock, qencode_config(simulator, token), poll=POLL, metrics=hashed) as exporter,
    ):
        exporter.refresh(10)
        simulator.qencode.fail(token, "out of memory")
        exporter.refresh(10)
    (line,) = lines(logs, "task failed")
    assert len(str(line["task"])) == 12
    assert token not in str(logs)


def test_given_a_storm_of_failures_then_it_is_summed_up(simulator: Simulator, clock: DrivenClock) -> None:
    tokens = [simulator.qencode.add("encoding") for _ in range(50)]
    with capture_logs() as logs, exporting(clock, qencode_config(simulator, *tokens), poll=POLL) as exporter:
        exporter.refresh(10)
        for token in tokens:
            simulator.qencode.fail(token)
        for _ in range(2):
            exporter.refresh(10)
    told = len(lines(logs, "task failed"))
    summed = sum(int(str(line["number"])) for line in lines(logs, "more tasks failed"))
    assert told + summed == 50
    assert told <= 3 * 20, "at most 20 a part, and the 50 tokens are on three masters"


def test_given_history_then_no_failure_is_told(simulator: Simulator, clock: DrivenClock) -> None:
    task = simulator.livepeer.account.add("upload")
    simulator.livepeer.account.fail(task)
    simulator.clock.advance(60)
    with capture_logs() as logs, exporting(clock, livepeer_config(simulator), poll=POLL) as exporter:
        exporter.refresh(10)
    assert not lines(logs, "task failed")
