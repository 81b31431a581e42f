"""What becomes of an account at Qencode when its API refuses, stumbles or talks nonsense."""

import pytest
from structlog.testing import capture_logs

from exporter.config import PollConfig
from exporter.providers.qencode import ALONE_A_POLL, HALVINGS
from exporter.simulator import Fault, FaultKind, Simulator
from tests.qencode_support import (
    EVERY_TIME,
    VOD,
    entries,
    errors,
    outcomes,
    phase,
    progress,
    scrape,
    targets,
    unknown,
    up,
)
from tests.status_server import StatusServer, statuses
from tests.support import DrivenClock, exporting, livepeer_config, qencode_config, total, value

STUDIO = {"provider": "livepeer", "account": "studio"}


def internal(code: int, times: int | None = None, retry_after: int | None = None) -> Fault:
    return Fault(FaultKind.API_ERROR, code=code, times=times, retry_after=retry_after)


# --- errors that the API tells ----------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 7])
def test_given_an_internal_error_then_the_call_is_repeated_once(
    simulator: Simulator, clock: DrivenClock, code: int
) -> None:
    token = simulator.qencode.add("created")
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        simulator.faults.set("qencode_api", internal(code, times=1))
        assert targets(scrape(exporter, simulator)) == {"qencode_api": 2}
        assert (up(exporter), errors(exporter), outcomes(exporter)) == (1, {}, {"success": 1})
        assert phase(exporter, token) == ("created", "queued")

        simulator.faults.set("qencode_api", internal(code))
        assert targets(scrape(exporter, simulator)) == {"qencode_api": 2}
        assert up(exporter) == 0
        assert errors(exporter) == {("qencode_api", "api"): 1}
        assert phase(exporter, token) == ("created", "queued"), "it stays as last known"

        simulator.faults.clear()
        scrape(exporter, simulator)
        assert up(exporter) == 1


@pytest.mark.parametrize("code", [99, -1])
def test_given_a_code_that_nobody_knows_then_each_batch_is_asked_once_a_poll(
    simulator: Simulator, clock: DrivenClock, code: int
) -> None:
    tokens = [simulator.qencode.add("created") for _ in range(300)]
    poll = PollConfig(min_poll_interval=0)
    with exporting(clock, qencode_config(simulator, *tokens), poll=poll) as exporter:
        simulator.faults.set("qencode_api", internal(code))

        assert len(scrape(exporter, simulator)) == 3
        assert (up(exporter), unknown(exporter)) == (0, 0)
        assert errors(exporter) == {("qencode_api", "api"): 3}


def test_given_a_thousand_refused_tokens_then_one_poll_isolates_some_and_is_no_storm(
    simulator: Simulator, clock: DrivenClock
) -> None:
    good = [simulator.qencode.add("created") for _ in range(50)]
    bad = [f"{number:04}" for number in range(1000)]
    poll = PollConfig(min_poll_interval=0)
    with exporting(clock, qencode_config(simulator, *good, *bad), poll=poll) as exporter:
        most = max(len(scrape(exporter, simulator)) for _ in range(12))

        assert most <= 11 + 2 * HALVINGS + ALONE_A_POLL, "the batches, the halves of some, a few rechecks"
        assert unknown(exporter) == 1000
        assert total(exporter, "transcoding_tasks", **VOD, phase="created") == 50


def test_given_an_account_that_is_refused_then_it_is_down_and_not_asked_in_a_storm(
    simulator: Simulator, clock: DrivenClock
) -> None:
    tokens = [simulator.qencode.add("created") for _ in range(3000)]
    poll = PollConfig(min_poll_interval=0, concurrency=4)
    with exporting(clock, qencode_config(simulator, *tokens), poll=poll) as exporter:
        simulator.faults.set("qencode_api", internal(6))
        first = scrape(exporter, simulator)

        assert 1 <= len(first) <= 4, "only what was already under way"
        assert up(exporter) == 0
        assert errors(exporter) == {("qencode_api", "api"): len(first)}
        assert scrape(exporter, simulator) == []
        assert (up(exporter), outcomes(exporter)) == (0, {"error": 1, "skipped": 1})
        assert unknown(exporter) == 0

        simulator.faults.clear()
        assert len(scrape(exporter, simulator)) == 30
        assert up(exporter) == 1
        assert total(exporter, "transcoding_tasks", **VOD, phase="created") == 3000


@pytest.mark.parametrize(
    "fault",
    [internal(8, times=1, retry_after=40), Fault(FaultKind.RATE_LIMITED, retry_after=40, times=1)],
    ids=["error 8", "HTTP 429"],
)
@pytest.mark.parametrize("target", ["qencode_api", "qencode_master"])
def test_given_a_busy_service_then_it_is_not_asked_before_the_time_that_it_tells(
    simulator: Simulator, clock: DrivenClock, fault: Fault, target: str
) -> None:
    token = simulator.qencode.add("created" if target == "qencode_api" else "encoding", master=1)
    with exporting(clock, qencode_config(simulator, token), poll=EVERY_TIME) as exporter:
        scrape(exporter, simulator)
        simulator.faults.set(target, fault)
        scrape(exporter, simulator)
        assert up(exporter) == 0
        assert errors(exporter) == {(target, "rate_limited"): 1}

        # 15 and 30 seconds later.
        assert scrape(exporter, simulator) == []
        assert scrape(exporter, simulator) == []
        assert outcomes(exporter) == {"success": 1, "error": 1, "skipped": 2}
        assert up(exporter) == 0
        assert phase(exporter, token) is not None, "it stays as last known"

        # The master, if it was busy, is not taken for one that failed.
        assert [request.target.removesuffix("_1") for request in scrape(exporter, simulator)] == [target]
        assert (up(exporter), unknown(exporter)) == (1, 0)


def test_given_a_busy_service_that_names_no_time_then_it_is_left_alone_for_half_a_minute(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("created")
    with exporting(clock, qencode_config(simulator, token), poll=EVERY_TIME) as exporter:
        simulator.faults.set("qencode_api", internal(8, times=1))
        scrape(exporter, simulator)
        assert scrape(exporter, simulator) == []
        assert len(scrape(exporter, simulator)) == 1


def test_given_the_error_that_a_field_is_missing_then_it_is_told_to_be_our_bug(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("created")
    simulator.faults.set("qencode_api", internal(14))
    with exporting(clock, qencode_config(simulator, token)) as exporter, capture_logs() as logs:
        scrape(exporter, simulator)

        assert (up(exporter), errors(exporter)) == (0, {("qencode_api", "api"): 1})
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "the API misses a field: please report this as a bug"
    ]


def test_given_one_batch_of_two_that_fails_then_the_other_is_used_and_the_poll_is_partial(
    simulator: Simulator, clock: DrivenClock
) -> None:
    tokens = [simulator.qencode.add("created") for _ in range(200)]
    poll = PollConfig(concurrency=1)
    with exporting(clock, qencode_config(simulator, *tokens), poll=poll) as exporter:
        simulator.faults.set("qencode_api", Fault(FaultKind.SERVER_ERROR, status=500, times=1))
        scrape(exporter, simulator)

        assert total(exporter, "transcoding_tasks", **VOD, phase="created") == 100
        assert (up(exporter), outcomes(exporter)) == (1, {"partial": 1})
        assert value(exporter, "transcoding_poll_last_success_timestamp_seconds", **VOD) is None


# --- answers that are none ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(FaultKind.SERVER_ERROR, status=500), "server"),
        (Fault(FaultKind.SERVER_ERROR, status=403), "auth"),
        (Fault(FaultKind.SERVER_ERROR, status=400), "client"),
        (Fault(FaultKind.HTML_ERROR), "server"),
        (Fault(FaultKind.RESET), "connection"),
        (Fault(FaultKind.EMPTY), "invalid_response"),
        (Fault(FaultKind.TRUNCATED_JSON), "invalid_response"),
        (Fault(FaultKind.WRONG_TYPES), "invalid_response"),
        (Fault(FaultKind.OVERSIZE), "too_large"),
        (Fault(FaultKind.GZIP_BOMB), "too_large"),
        (Fault(FaultKind.REDIRECT, location="https://qencode.example/"), "invalid_response"),
        (Fault(FaultKind.HANG), "timeout"),
        (Fault(FaultKind.DRIP, seconds=0.05), "timeout"),
    ],
    ids=lambda value: str(value.kind) + str(value.status) if isinstance(value, Fault) else value,
)
def test_given_an_api_that_fails_then_the_tasks_stay_as_last_known_and_other_accounts_are_not_touched(
    simulator: Simulator, clock: DrivenClock, fault: Fault, reason: str
) -> None:
    token = simulator.qencode.add("created")
    task = simulator.livepeer.account.add("upload")
    accounts = qencode_config(simulator, token), livepeer_config(simulator)
    with exporting(clock, *accounts, poll=PollConfig(timeout=0.5)) as exporter:
        scrape(exporter, simulator)
        simulator.faults.set("qencode_api", fault)
        simulator.livepeer.account.schedule(task)
        scrape(exporter, simulator)

        assert up(exporter) == 0
        assert {key: number > 0 for key, number in errors(exporter).items()} == {
            ("qencode_api", reason): True
        }
        assert outcomes(exporter) == {"success": 1, "error": 1}
        assert phase(exporter, token) == ("created", "queued")
        assert entries(exporter) == {"created": 1}
        assert unknown(exporter) == 0, "a failed call says nothing about the tokens"
        assert value(exporter, "transcoding_up", **STUDIO) == 1
        assert total(exporter, "transcoding_tasks", **STUDIO, phase="waiting") == 1

        simulator.faults.clear()
        scrape(exporter, simulator)
        assert (up(exporter), entries(exporter)) == (1, {"created": 1})


def test_given_a_malformed_status_in_a_batch_then_it_is_skipped_and_counted_and_the_rest_is_used(
    simulator: Simulator, clock: DrivenClock
) -> None:
    good = [simulator.qencode.add("created") for _ in range(3)]
    bad = simulator.qencode.add("created", wire={"status": ["encoding"]})
    with exporting(clock, qencode_config(simulator, *good[:2], bad, good[2])) as exporter:
        scrape(exporter, simulator)

        assert [phase(exporter, token) for token in (*good, bad)] == [("created", "queued")] * 3 + [None]
        assert (up(exporter), unknown(exporter)) == (1, 0)
        assert errors(exporter) == {("qencode_api", "invalid_response"): 1}

        simulator.qencode.set(bad, wire={})
        scrape(exporter, simulator)
        assert phase(exporter, bad) == ("created", "queued")


def test_given_a_malformed_status_at_a_master_then_the_api_is_asked_about_it(
    simulator: Simulator, clock: DrivenClock
) -> None:
    good, bad = (simulator.qencode.add("encoding", master=1) for _ in range(2))
    with exporting(clock, qencode_config(simulator, good, bad)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.set(good, percent=50.0)
        simulator.qencode.set(bad, percent=50.0, wire={"status": None})
        scrape(exporter, simulator)

        assert progress(exporter, good) == 0.5
        # The API tells the same nonsense, and nothing else.
        assert errors(exporter) == {
            ("qencode_master", "invalid_response"): 1,
            ("qencode_api", "invalid_response"): 1,
        }
        assert (phase(exporter, bad), progress(exporter, bad)) == (("encoding", "running"), 0)
        assert (up(exporter), outcomes(exporter)) == (1, {"success": 1, "partial": 1})


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": 0, "statuses": {"%b": {"status": "\xff\xfe"}}}',
        b'{"error": 0, "statuses": {"%b": {"status": "encoding", "error_description": "\xe9"}}}',
        b'{"error": 0, "statuses": {"%b": ' + b"[" * 100_000 + b"}}",
        b'{"error": ' + b"9" * 400 + b', "statuses": {"%b": {"status": "encoding"}}}',
        b'{"error": 0, "statuses": {"%b": 7}}',
        b'\xff{"%b"}',
        b'"%b"',
        b"null",
    ],
)
def test_given_bytes_that_are_no_answer_then_the_account_is_down_and_polled_again(
    simulator: Simulator, clock: DrivenClock, body: bytes
) -> None:
    token = "63adfb01d408081b10440682f3a64114"
    with (
        StatusServer(lambda _: body.replace(b"%b", token.encode())) as api,
        exporting(clock, qencode_config(simulator, token, base_url=api.url)) as exporter,
        capture_logs() as logs,
    ):
        scrape(exporter, simulator)

        assert (up(exporter), outcomes(exporter)) == (0, {"error": 1})
        assert errors(exporter) == {("qencode_api", "invalid_response"): 1}
        assert not [line for line in logs if line["log_level"] == "error"]

        api.answering = lambda _: statuses(**{token: {"status": "encoding"}})
        scrape(exporter, simulator)
        assert (up(exporter), phase(exporter, token)) == (1, ("encoding", "running"))
