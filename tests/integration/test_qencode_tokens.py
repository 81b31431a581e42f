"""Where Qencode's tokens come from, what happens when they go, and who gets to see them."""

import hashlib
import json
import logging
import os
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from exporter.config import Config, MetricsConfig, PollConfig, StorageConfig, TaskLabel
from exporter.model import Account, Provider
from exporter.report.board import Wish
from exporter.simulator import Fault, FaultKind, QencodeQuirks, Simulator
from exporter.tracking.database import Database
from tests.qencode_support import VOD, asked, entries, outcomes, phase, scrape, targets, unknown, up
from tests.status_server import StatusServer, statuses
from tests.support import DrivenClock, exporting, qencode_config, samples, total, value


def write(path: Path, *tokens: str) -> None:
    """Put the file in place at once, as an operator of Kubernetes or a careful script does."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps([{"targets": tokens, "labels": {"team": "vod"}}]))
    draft.replace(path)


# --- the file ---------------------------------------------------------------------------------------


def test_given_a_token_file_that_changes_then_the_next_poll_watches_its_tokens(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    old, done, new = (simulator.qencode.add("created") for _ in range(3))
    write(file, old)
    with exporting(clock, qencode_config(simulator, task_tokens_file=file)) as exporter:
        scrape(exporter, simulator)
        assert phase(exporter, old) == ("created", "queued")
        simulator.qencode.complete(done)
        write(file, old, done, new)
        scrape(exporter, simulator)

        assert phase(exporter, new) == ("created", "queued")
        # It was over when first seen, but this came after the account was opened: it is news.
        assert entries(exporter) == {"created": 2, "completed": 1}


@pytest.mark.parametrize(
    "broken", ["", "[", "tokens", '[{"targets": "abc"}]', '[{"targets": [7.5, {}]}]', "- a\n b: [", "\x00"]
)
def test_given_a_token_file_that_breaks_then_its_last_good_list_stays_and_the_poll_is_partial(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path, broken: str
) -> None:
    file = tmp_path / "tokens.json"
    token = simulator.qencode.add("created")
    write(file, token)
    with exporting(clock, qencode_config(simulator, task_tokens_file=file)) as exporter:
        scrape(exporter, simulator)
        file.write_text(broken)
        simulator.qencode.set(token, "queued")
        with capture_logs() as logs:
            scrape(exporter, simulator)

        assert phase(exporter, token) == ("queued", "queued")
        assert (up(exporter), outcomes(exporter)) == (1, {"success": 1, "partial": 1})
        lines = [str(line["error"]) for line in logs if line["log_level"] == "warning"]
        assert len(lines) == 1
        assert lines[0].startswith(f"task_tokens_file: {file}: ")

        write(file, token)
        scrape(exporter, simulator)
        assert outcomes(exporter) == {"success": 2, "partial": 1}


def test_given_a_token_file_that_is_moved_away_and_back_then_all_is_well_again(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    write(file, simulator.qencode.add("created"))
    with exporting(clock, qencode_config(simulator, task_tokens_file=file)) as exporter:
        scrape(exporter, simulator)
        os.replace(file, tmp_path / "elsewhere")  # noqa: PTH105 - as `mv` does
        scrape(exporter, simulator)
        os.replace(tmp_path / "elsewhere", file)  # noqa: PTH105
        scrape(exporter, simulator)

        assert outcomes(exporter) == {"success": 2, "partial": 1}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ('[{"targets": ["t1", "t2"]}, {"targets": ["t1", " t3 "]}]', {"t1", "t2", "t3"}),
        ('[\n\t{"targets":["t1"],"labels":{"team":"vod"}}\n]', {"t1"}),
        ("- targets: [t1, t2]\n  labels: {team: vod, level: 3}\n- targets:\n    - t3\n", {"t1", "t2", "t3"}),
        # What YAML would take for a number, a date, a truth, nothing.
        (
            "- targets: [0123, 12e4, 2026-13-45, 0x_, no, ~, 1_000]",
            {"0123", "12e4", "2026-13-45", "0x_", "no", "~", "1_000"},
        ),
        ("\ufeff- targets: [t1]", {"t1"}),
        ("[]", set()),
        # Not tokens: more than one, none, too long, not ASCII.
        ('[{"targets": ["a,b", "a b", "", "\u00e9", "%s", "t1"]}]' % ("x" * 257), {"t1"}),
    ],
)
def test_given_a_token_file_in_json_or_yaml_then_each_target_is_a_token(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path, text: str, tokens: set[str]
) -> None:
    file = tmp_path / "tokens.yml"
    file.write_text(text, "utf-8")
    with (
        StatusServer(lambda asked: statuses(**{token: {"status": "encoding"} for token in asked})) as api,
        exporting(clock, qencode_config(simulator, task_tokens_file=file, base_url=api.url)) as exporter,
    ):
        scrape(exporter, simulator)

        assert {token for call in api.calls for token in call} == tokens
        assert total(exporter, "transcoding_tasks", **VOD, phase="encoding") == len(tokens)
        assert up(exporter) == 1


# --- the discovery ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.SERVER_ERROR, status=500),
        Fault(FaultKind.RATE_LIMITED, retry_after=3600),
        Fault(FaultKind.RESET),
        Fault(FaultKind.EMPTY),
        Fault(FaultKind.TRUNCATED_JSON),
        Fault(FaultKind.WRONG_TYPES),
        Fault(FaultKind.GZIP_BOMB),
        Fault(FaultKind.HANG),
    ],
    ids=lambda fault: str(fault.kind),
)
def test_given_a_discovery_that_fails_then_all_tokens_are_watched_on(
    simulator: Simulator, clock: DrivenClock, fault: Fault
) -> None:
    fixed = simulator.qencode.add("created")
    found = simulator.qencode.add("created")
    account = qencode_config(simulator, fixed, task_tokens_http=simulator.tokens_url)
    with exporting(clock, account, poll=PollConfig(timeout=0.5)) as exporter:
        scrape(exporter, simulator)
        simulator.faults.set("discovery", fault)
        for token in (fixed, found):
            simulator.qencode.set(token, "queued")
        scrape(exporter, simulator)

        assert [phase(exporter, token) for token in (fixed, found)] == [("queued", "queued")] * 2
        assert (up(exporter), outcomes(exporter)) == (1, {"success": 1, "partial": 1})


def test_given_a_discovery_that_is_down_from_the_start_then_the_other_sources_are_watched(
    simulator: Simulator, clock: DrivenClock
) -> None:
    fixed = simulator.qencode.add("created")
    other = qencode_config(simulator, fixed, name="other")
    account = qencode_config(simulator, fixed, task_tokens_http=simulator.tokens_url)
    alone = qencode_config(simulator, name="alone", task_tokens_http=simulator.tokens_url)
    simulator.faults.set("discovery", Fault(FaultKind.SERVER_ERROR, status=500))
    with exporting(clock, account, other, alone) as exporter:
        scrape(exporter, simulator)

        assert phase(exporter, fixed) == ("created", "queued")
        ups = samples(exporter, "transcoding_up", provider="qencode")
        assert {dict(key)["account"]: number for key, number in ups.items()} == {
            "vod": 1,
            "other": 1,
            # Nobody was asked and nobody failed, but for the source.
            "alone": 1,
        }
        for name in ("vod", "alone"):
            source = {"provider": "qencode", "account": name, "source": "task_tokens_http"}
            assert value(exporter, "transcoding_token_source_up", **source) == 0
            assert (
                value(
                    exporter, "transcoding_polls_total", provider="qencode", account=name, outcome="partial"
                )
                == 1
            )
        tokens_error = {"endpoint": "qencode_tokens", "reason": "server"}
        assert value(exporter, "transcoding_api_errors_total", **VOD, **tokens_error) == 1


def test_given_a_discovery_then_it_is_asked_every_ten_seconds_at_most(
    simulator: Simulator, clock: DrivenClock
) -> None:
    account = qencode_config(simulator, task_tokens_http=simulator.tokens_url)
    with exporting(clock, account, poll=PollConfig(min_poll_interval=0)) as exporter:
        for _ in range(11):
            exporter.refresh(10)
            simulator.clock.advance(1)

    assert targets(list(simulator.requests)) == {"discovery": 2}


# --- tokens that go ---------------------------------------------------------------------------------


def test_given_a_token_that_leaves_its_source_then_it_is_not_asked_about_and_gone_after_the_retention(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    leaves, stays = (simulator.qencode.add("encoding", master=1) for _ in range(2))
    write(file, leaves, stays)
    account = qencode_config(simulator, task_tokens_file=file)
    with exporting(clock, account, poll=PollConfig(retention=900)) as exporter:
        scrape(exporter, simulator)
        write(file, stays)
        assert [asked(request) for request in scrape(exporter, simulator)] == [[stays]]
        assert phase(exporter, leaves) == ("encoding", "running"), "it stays as last known"

        simulator.clock.advance(900)
        scrape(exporter, simulator)

        assert phase(exporter, leaves) is None
        assert total(exporter, "transcoding_tasks", **VOD) == 1
        assert unknown(exporter) == 0
        assert entries(exporter) == {"encoding": 2}, "what was counted stays counted"


def test_given_a_source_that_loses_its_list_for_an_hour_then_the_ended_tasks_are_not_counted_again(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    tokens = [simulator.qencode.add("encoding") for _ in range(5)]
    write(file, *tokens)
    account = qencode_config(simulator, task_tokens_file=file)
    with exporting(clock, account, poll=PollConfig(retention=900)) as exporter:
        scrape(exporter, simulator)
        for token in tokens:
            simulator.qencode.complete(token)
        scrape(exporter, simulator)
        write(file)
        for _ in range(4):
            simulator.clock.advance(900)
            scrape(exporter, simulator)
        assert total(exporter, "transcoding_tasks", **VOD) == 0
        write(file, *tokens)

        assert scrape(exporter, simulator) == []
        assert entries(exporter) == {"encoding": 5, "completed": 5}


def test_given_an_account_that_is_reloaded_often_then_a_token_that_left_is_gone_after_the_retention(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    leaves, stays = (simulator.qencode.add("encoding") for _ in range(2))
    write(file, leaves, stays)
    account = qencode_config(simulator, task_tokens_file=file)
    storage = StorageConfig(url="memory://")
    with exporting(clock, account, poll=PollConfig(retention=900)) as exporter:
        scrape(exporter, simulator)
        write(file, stays)
        for concurrency in (2, 3, 4):
            assert phase(exporter, leaves) == ("encoding", "running")
            scrape(exporter, simulator)
            poll = PollConfig(retention=900, concurrency=concurrency)
            exporter.reconfigure(Config(poll=poll, qencode=(account,), storage=storage))
            simulator.clock.advance(300)
        scrape(exporter, simulator)

        assert phase(exporter, leaves) is None
        assert phase(exporter, stays) == ("encoding", "running")


def test_given_an_exporter_that_is_restarted_daily_then_ended_tasks_whose_tokens_left_are_forgotten(
    simulator: Simulator, clock: DrivenClock, tmp_path: Path
) -> None:
    file, storage = tmp_path / "tokens.json", f"sqlite:///{tmp_path}/ledger.db"
    leaves, stays = (simulator.qencode.add("encoding") for _ in range(2))
    write(file, leaves, stays)
    account = qencode_config(simulator, task_tokens_file=file)

    def day() -> set[str]:
        """One that is stopped 23 hours after its start; return the tasks that the next one would know."""
        with exporting(clock, account, storage=storage) as exporter:
            for _ in range(24):
                scrape(exporter, simulator)
                simulator.clock.advance(3600 - 15)
        ledger = Database(storage)
        stored = ledger.load(exporter_account)
        ledger.close()
        assert stored is not None
        return set(stored.tasks)

    exporter_account = Account(Provider.QENCODE, "vod")
    for token in (leaves, stays):
        simulator.qencode.complete(token)
    assert day() == {leaves, stays}
    write(file, stays)
    assert day() == {stays}


# --- who gets to see a token --------------------------------------------------------------------------


def test_given_task_label_hash_then_no_token_is_seen_anywhere_whatever_goes_wrong(
    simulator: Simulator, clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good = simulator.qencode.add("encoding")
    lost = "a2600fc63e4511e8ac870202b56d93e3"
    malformed = simulator.qencode.add("created", wire={"status": 7})
    tokens = [good, lost, malformed, "not_a_token_0123456789abcdef"]
    simulator.qencode.quirks = QencodeQuirks(unknown_fails=True)
    hashed = MetricsConfig(task_label=TaskLabel.HASH)
    with (
        capture_logs() as logs,
        exporting(clock, qencode_config(simulator, *tokens), metrics=hashed) as exporter,
    ):
        scrape(exporter, simulator)
        simulator.faults.set("qencode_master", Fault(FaultKind.HTML_ERROR))
        scrape(exporter, simulator)
        simulator.faults.set("qencode_api", Fault(FaultKind.SERVER_ERROR, status=500))
        scrape(exporter, simulator)
        text = generate_latest(exporter.registry).decode()

    assert f'task="{hashlib.sha256(good.encode()).hexdigest()[:12]}"' in text
    seen = text + repr(logs) + caplog.text
    assert not [token for token in tokens if token in seen]
    shown = [line["task"] for line in logs if "task" in line]
    # Of the two that are unknown, one stands for both.
    unknown_one, bad_one = min(lost, tokens[3]), malformed
    assert {hashlib.sha256(token.encode()).hexdigest()[:12] for token in (unknown_one, bad_one)} == set(shown)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_given_task_label_hash_and_an_answer_that_repeats_the_question_then_its_tokens_are_veiled(
    simulator: Simulator, clock: DrivenClock, status: int
) -> None:
    tokens = [f"{number:08x}63e4511e8ac870202b56d93e" for number in range(20)]
    hashed = MetricsConfig(task_label=TaskLabel.HASH)
    with (
        StatusServer(lambda asked: json.dumps({"error": 99, "message": f"no: {asked}"}).encode()) as api,
        capture_logs() as logs,
        exporting(clock, qencode_config(simulator, *tokens, base_url=api.url), metrics=hashed) as exporter,
    ):
        api.status = status
        scrape(exporter, simulator)
        assert up(exporter) == 0

    lines = [str(line["error"]) for line in logs if line["event"] == "poll failed"]
    assert len(lines) == 1
    assert hashlib.sha256(tokens[0].encode()).hexdigest()[:12] in lines[0]
    # Not even the beginning of one that was cut off.
    assert not [token for token in tokens if token[:8] in lines[0]]
    assert len(lines[0]) < 500


@pytest.mark.parametrize("lead", ["lost", "could not be found anywhere, not even among the oldest"])
def test_given_task_label_hash_and_a_job_whose_words_repeat_its_token_then_they_are_veiled(
    simulator: Simulator, clock: DrivenClock, lead: str
) -> None:
    token = "63E4511E8AC870202B56D93E"
    told = {
        "status": f"{lead} {token}",
        "error": 1,
        "error_description": f"Task {token} failed",
    }
    body = json.dumps({"error": 0, "statuses": {token: told}}).encode()
    with (
        StatusServer(lambda _: body) as api,
        capture_logs() as logs,
        exporting(
            clock,
            qencode_config(simulator, token, base_url=api.url),
            metrics=MetricsConfig(task_label=TaskLabel.HASH),
        ) as exporter,
    ):
        scrape(exporter, simulator)
        (record,), _ = exporter.board().tasks(Wish())
        shown = generate_latest(exporter.registry).decode() + str(record) + str(logs)

    name = hashlib.sha256(token.encode()).hexdigest()[:12]
    assert (record.task, record.message, record.phase) == (name, f"Task {name} failed", "other")
    assert token.lower()[:9] not in shown.lower(), "not even where the phase was cut off"


def test_given_a_status_url_with_the_token_in_its_host_then_it_is_veiled_in_the_log(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = "63adfb01d408081b10440682f3a64114"
    wanted = f"http://{token}.example/v1/status"
    hashed = MetricsConfig(task_label=TaskLabel.HASH)
    with (
        StatusServer(lambda _: statuses(**{token: {"status": "queued", "status_url": wanted}})) as api,
        capture_logs() as logs,
        exporting(clock, qencode_config(simulator, token, base_url=api.url), metrics=hashed) as exporter,
    ):
        scrape(exporter, simulator)
        scrape(exporter, simulator)

    refused = [line["host"] for line in logs if "status_url" in str(line["event"])]
    assert refused == [f"{hashlib.sha256(token.encode()).hexdigest()[:12]}.example"]
