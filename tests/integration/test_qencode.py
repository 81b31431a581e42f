"""An account at Qencode in front of the simulator: which calls a poll makes, and what comes of them."""

import math

import pytest

from exporter.clock import SystemClock
from exporter.config import PollConfig
from exporter.simulator import Fault, FaultKind, QencodeQuirks, Simulator
from tests.qencode_support import (
    EVERY_TIME,
    VOD,
    asked,
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
from tests.support import DrivenClock, exporting, qencode_config, samples, total

A_MINUTE = 60


# --- batches, masters, finished tasks ---------------------------------------------------------------


def test_given_1000_tokens_on_3_masters_with_900_finished_then_only_what_can_change_is_asked_about(
    simulator: Simulator, clock: DrivenClock
) -> None:
    tokens = [simulator.qencode.add("encoding", master=number % 3 + 1) for number in range(1000)]
    active, finished = tokens[:100], tokens[100:]
    for token in finished:
        simulator.qencode.complete(token)

    with exporting(clock, qencode_config(simulator, *tokens)) as exporter:
        first = scrape(exporter, simulator)

        assert targets(first) == {"qencode_api": 10}
        assert sorted(token for request in first for token in asked(request)) == sorted(tokens)
        assert all(len(asked(request)) <= 100 for request in first)
        assert samples(exporter, "transcoding_tasks", **VOD, phase="completed") == {
            (("state", "completed"), ("task_type", "transcode")): 900
        }
        assert entries(exporter) == {"encoding": 100}, "what had ended before is history"

        for percent in (10.0, 20.0, 30.0):
            for token in active:
                simulator.qencode.set(token, percent=percent)
            later = scrape(exporter, simulator)

            assert targets(later) == {"qencode_master_1": 1, "qencode_master_2": 1, "qencode_master_3": 1}
            assert sorted(token for request in later for token in asked(request)) == sorted(active)
            assert {progress(exporter, token) for token in active} == {percent / 100}
        assert outcomes(exporter) == {"success": 4}


def test_given_more_tokens_than_a_batch_on_a_master_then_each_is_asked_about_once_a_poll(
    simulator: Simulator, clock: DrivenClock
) -> None:
    places = {1: 250, 2: 100, 3: 1}
    tokens = [
        simulator.qencode.add("encoding", master=master) for master in places for _ in range(places[master])
    ]
    with exporting(clock, qencode_config(simulator, *tokens)) as exporter:
        assert targets(scrape(exporter, simulator)) == {"qencode_api": 4}
        second = scrape(exporter, simulator)

    assert targets(second) == {"qencode_master_1": 3, "qencode_master_2": 1, "qencode_master_3": 1}
    assert sorted(token for request in second for token in asked(request)) == sorted(tokens)


def test_given_tasks_without_a_master_yet_then_the_api_is_asked_until_they_have_one(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("created", master=2)
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        assert targets(scrape(exporter, simulator)) == {"qencode_api": 1}
        assert (phase(exporter, token), progress(exporter, token)) == (("created", "queued"), None)
        simulator.qencode.set(token, "queued")
        assert targets(scrape(exporter, simulator)) == {"qencode_api": 1}
        simulator.qencode.set(token, "downloading")
        assert targets(scrape(exporter, simulator)) == {"qencode_master_2": 1}

        assert phase(exporter, token) == ("downloading", "running")
        assert entries(exporter) == {"created": 1, "queued": 1, "downloading": 1}


def test_given_two_scrapes_at_once_then_the_api_is_asked_once(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding")
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        exporter.refresh(10)
        exporter.refresh(10)

    assert len(simulator.requests) == 1


# --- a master that fails -----------------------------------------------------------------------------


def test_given_a_hanging_master_then_its_tasks_come_through_the_api_within_the_same_scrape(
    simulator: Simulator,
) -> None:
    tokens = {master: simulator.qencode.add("encoding", master=master) for master in (1, 2, 3)}
    poll = PollConfig(min_poll_interval=0, timeout=1)
    with exporting(SystemClock(), qencode_config(simulator, *tokens.values()), poll=poll) as exporter:
        exporter.refresh(4)
        simulator.faults.set("qencode_master_2", Fault(FaultKind.HANG))
        for token in tokens.values():
            simulator.qencode.set(token, percent=50.0)
        simulator.requests.clear()

        exporter.refresh(4)

        assert targets(list(simulator.requests)) == {
            "qencode_master_1": 1,
            "qencode_master_2": 1,
            "qencode_master_3": 1,
            "qencode_api": 1,
        }
        assert asked(simulator.requests.to("qencode_api")[0]) == [tokens[2]]
        assert {progress(exporter, token) for token in tokens.values()} == {0.5}
        assert errors(exporter) == {("qencode_master", "timeout"): 1}
        assert outcomes(exporter) == {"success": 2}
        assert up(exporter) == 1


def test_given_many_batches_at_a_hanging_master_then_it_is_not_waited_for_more_than_once(
    simulator: Simulator,
) -> None:
    slow = [simulator.qencode.add("encoding", master=1) for _ in range(500)]
    poll = PollConfig(min_poll_interval=0, timeout=2, concurrency=2)
    with exporting(SystemClock(), qencode_config(simulator, *slow), poll=poll) as exporter:
        exporter.refresh(10)
        simulator.faults.set("qencode_master_1", Fault(FaultKind.HANG))
        for token in slow:
            simulator.qencode.set(token, percent=50.0)
        simulator.requests.clear()

        exporter.refresh(10)

        assert targets(list(simulator.requests)) == {"qencode_master_1": 2, "qencode_api": 5}
        assert {progress(exporter, token) for token in slow} == {0.5}


def test_given_a_master_that_failed_then_it_is_left_alone_for_a_minute(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding", master=1)
    with exporting(clock, qencode_config(simulator, token), poll=EVERY_TIME) as exporter:
        scrape(exporter, simulator)
        simulator.faults.set("qencode_master_1", Fault(FaultKind.SERVER_ERROR, status=500))
        assert targets(scrape(exporter, simulator)) == {"qencode_master_1": 1, "qencode_api": 1}
        simulator.faults.clear()
        # 15, 30 and 45 seconds after it failed.
        for _ in range(3):
            assert targets(scrape(exporter, simulator)) == {"qencode_api": 1}

        assert targets(scrape(exporter, simulator)) == {"qencode_master_1": 1}
        assert up(exporter) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(FaultKind.SERVER_ERROR, status=500), "server"),
        (Fault(FaultKind.HTML_ERROR), "server"),
        (Fault(FaultKind.RESET), "connection"),
        (Fault(FaultKind.EMPTY), "invalid_response"),
        (Fault(FaultKind.TRUNCATED_JSON), "invalid_response"),
        (Fault(FaultKind.WRONG_TYPES), "invalid_response"),
        (Fault(FaultKind.GZIP_BOMB), "too_large"),
        (Fault(FaultKind.REDIRECT, location="https://qencode.example/"), "invalid_response"),
        (Fault(FaultKind.API_ERROR, code=6), "api"),
        (Fault(FaultKind.API_ERROR, code=99), "api"),
    ],
    ids=lambda value: str(value.kind) + str(value.code) if isinstance(value, Fault) else value,
)
def test_given_a_master_that_fails_then_the_api_answers_for_it(
    simulator: Simulator, clock: DrivenClock, fault: Fault, reason: str
) -> None:
    token = simulator.qencode.add("encoding", master=1)
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)
        simulator.faults.set("qencode_master_1", fault)
        simulator.qencode.set(token, percent=50.0)
        scrape(exporter, simulator)

        assert progress(exporter, token) == 0.5
        assert up(exporter) == 1
        assert set(errors(exporter)) == {("qencode_master", reason)}


def test_given_a_master_that_does_not_know_a_token_then_the_api_is_asked_and_names_the_right_one(
    simulator: Simulator, clock: DrivenClock
) -> None:
    moved, stays = (simulator.qencode.add("encoding", master=1) for _ in range(2))
    with exporting(clock, qencode_config(simulator, moved, stays)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.find([moved])[moved].master = 2
        simulator.qencode.set(moved, percent=50.0)

        requests = scrape(exporter, simulator)

        assert targets(requests) == {"qencode_master_1": 1, "qencode_api": 1}
        assert asked(requests[1]) == [moved]
        assert progress(exporter, moved) == 0.5
        assert unknown(exporter) == 0
        assert targets(scrape(exporter, simulator)) == {"qencode_master_1": 1, "qencode_master_2": 1}


@pytest.mark.parametrize("code", [4, 5, 13])
def test_given_a_master_that_refuses_the_tokens_then_the_api_is_asked(
    simulator: Simulator, clock: DrivenClock, code: int
) -> None:
    token = simulator.qencode.add("encoding", master=1)
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)
        simulator.faults.set("qencode_master_1", Fault(FaultKind.API_ERROR, code=code))
        simulator.qencode.set(token, percent=50.0)

        assert targets(scrape(exporter, simulator)) == {"qencode_master_1": 1, "qencode_api": 1}
        assert progress(exporter, token) == 0.5
        assert unknown(exporter) == 0


def test_given_an_api_that_lags_behind_a_master_that_failed_then_no_task_goes_backwards(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.qencode.quirks = QencodeQuirks(api_lag=120)
    tokens = [simulator.qencode.add("queued", master=1) for _ in range(2)]
    with exporting(clock, qencode_config(simulator, *tokens)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.set(tokens[0], "encoding", percent=40.0)
        simulator.qencode.complete(tokens[1])
        scrape(exporter, simulator)
        simulator.faults.set("qencode_master_1", Fault(FaultKind.RESET))
        scrape(exporter, simulator)

        assert (phase(exporter, tokens[0]), progress(exporter, tokens[0])) == (("encoding", "running"), 0.4)
        assert (phase(exporter, tokens[1]), progress(exporter, tokens[1])) == (("completed", "completed"), 1)
        assert up(exporter) == 1

        simulator.faults.clear()
        simulator.clock.advance(A_MINUTE)
        simulator.qencode.set(tokens[0], percent=60.0)
        scrape(exporter, simulator)

        assert progress(exporter, tokens[0]) == 0.6
        assert entries(exporter) == {"queued": 2, "encoding": 1, "completed": 1}


# --- where a status_url may lead ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "status_url",
    [
        "http://127.0.0.2:{port}/v1/status",
        "http://127.0.0.1@127.0.0.2:{port}/v1/status",
        "http://127.0.0.1:80@127.0.0.2:{port}/v1/status",
        "http://127.0.0.2:{port}\\@127.0.0.1/v1/status",
        "http://127.0.0.2:{port}?@127.0.0.1/v1/status",
        "http://127.0.0.2:{port}#@127.0.0.1/v1/status",
        "http://127.0.0.2:{port}/v1/status?host=127.0.0.1",
        "HTTP://127.0.0.2:{port}/v1/status",
        " http://127.0.0.2:{port}/v1/status",
        "http:/\\127.0.0.2:{port}/v1/status",
        "http://2130706434:{port}/v1/status",
        "http://0x7f.2:{port}/v1/status",
        "http://127.0.0.1.127.0.0.2:{port}/v1/status",
        "//127.0.0.2:{port}/v1/status",
    ],
)
def test_given_a_status_url_outside_allowed_hosts_then_it_is_never_called(
    clock: DrivenClock, simulator: Simulator, status_url: str
) -> None:
    token = "63adfb01d408081b10440682f3a64114"
    with StatusServer(lambda _: b"", "127.0.0.2") as stranger, StatusServer(lambda _: b"") as api:
        wanted = status_url.format(port=stranger.server_port)
        api.answering = lambda _: statuses(**{token: {"status": "encoding", "status_url": wanted}})
        with exporting(clock, qencode_config(simulator, token, base_url=api.url)) as exporter:
            scrape(exporter, simulator)
            scrape(exporter, simulator)

            assert stranger.connections == 0
            assert len(api.calls) == 2
            assert phase(exporter, token) == ("encoding", "running"), "only the URL is ignored"
            assert up(exporter) == 1


def test_given_a_status_url_that_an_allowed_master_redirects_elsewhere_then_it_is_not_followed(
    clock: DrivenClock, simulator: Simulator
) -> None:
    with StatusServer(lambda _: b"", "127.0.0.2") as stranger:
        token = simulator.qencode.add("encoding", master=1)
        elsewhere = f"{stranger.url}/v1/status"
        with exporting(clock, qencode_config(simulator, token)) as exporter:
            scrape(exporter, simulator)
            simulator.faults.set("qencode_master_1", Fault(FaultKind.REDIRECT, location=elsewhere))
            simulator.faults.set("qencode_api", Fault(FaultKind.REDIRECT, location=elsewhere))
            scrape(exporter, simulator)

            assert up(exporter) == 0
        assert stranger.connections == 0


# --- tokens that the API does not know ----------------------------------------------------------------


@pytest.mark.parametrize("bad", ["not_a_token", "a2600fc63e4511e8ac870202b56d93e3"])
def test_given_one_bad_token_in_a_batch_then_the_others_come_in_the_same_poll(
    simulator: Simulator, clock: DrivenClock, bad: str
) -> None:
    simulator.qencode.quirks = QencodeQuirks(unknown_fails=True)
    good = [simulator.qencode.add("encoding", percent=25.0) for _ in range(99)]
    with exporting(clock, qencode_config(simulator, *good[:60], bad, *good[60:])) as exporter:
        first = scrape(exporter, simulator)

        assert {progress(exporter, token) for token in good} == {0.25}
        assert phase(exporter, bad) is None
        assert unknown(exporter) == 1
        assert len(first) <= 1 + 2 * math.ceil(math.log2(100))
        assert (up(exporter), outcomes(exporter)) == (1, {"success": 1})

        second = scrape(exporter, simulator)

        assert "qencode_api" not in targets(second)
        assert sorted(token for request in second for token in asked(request)) == sorted(good)
        assert unknown(exporter) == 1


def test_given_a_token_that_stays_bad_then_it_is_asked_about_alone_and_ever_more_seldom(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.qencode.quirks = QencodeQuirks(unknown_fails=True)
    good = simulator.qencode.add("created")
    asked_at = []
    with exporting(clock, qencode_config(simulator, good, "not_a_token"), poll=EVERY_TIME) as exporter:
        exporter.refresh(10)
        for minute in range(1, 190):
            simulator.clock.advance(A_MINUTE)
            simulator.requests.clear()
            exporter.refresh(10)
            calls = [asked(request) for request in simulator.requests]
            assert [good] in calls
            if ["not_a_token"] in calls:
                asked_at.append(minute)
            assert len(calls) == 1 + (["not_a_token"] in calls)

    # After 1, 2, 4, 8, 16, 32 minutes more, and then every hour.
    assert asked_at == [1, 3, 7, 15, 31, 63, 123, 183]


def test_given_tokens_that_are_missing_then_they_are_rechecked_together_and_recover(
    simulator: Simulator, clock: DrivenClock
) -> None:
    tokens = [f"63adfb01d408081b{number:016x}" for number in range(30)]
    with exporting(clock, qencode_config(simulator, *tokens)) as exporter:
        scrape(exporter, simulator)
        assert (unknown(exporter), up(exporter)) == (30, 1)
        assert scrape(exporter, simulator) == []
        assert unknown(exporter) == 30

        simulator.qencode.add("encoding", token=tokens[0], percent=50.0)
        simulator.clock.advance(A_MINUTE)
        assert targets(scrape(exporter, simulator)) == {"qencode_api": 1}

        assert unknown(exporter) == 29
        assert progress(exporter, tokens[0]) == 0.5
        assert entries(exporter) == {"encoding": 1}
        requests = scrape(exporter, simulator)
        assert [asked(request) for request in requests] == [[tokens[0]]]


def test_given_a_known_task_that_the_api_no_longer_knows_then_it_is_gone_after_the_retention(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding")
    with exporting(clock, qencode_config(simulator, token), poll=PollConfig(retention=900)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.forget(token)
        scrape(exporter, simulator)
        assert unknown(exporter) == 1
        assert phase(exporter, token) == ("encoding", "running"), "it stays as last known"

        simulator.clock.advance(900)
        scrape(exporter, simulator)

        assert phase(exporter, token) is None
        assert unknown(exporter) == 1
        assert total(exporter, "transcoding_tasks", **VOD) == 0


@pytest.mark.parametrize("code", [4, 5, 13])
def test_given_a_token_that_the_api_refuses_by_an_error_then_it_is_isolated(
    simulator: Simulator, clock: DrivenClock, code: int
) -> None:
    tokens = [f"{number:032x}" for number in range(100)]
    bad = tokens[37]

    def answer(asked: object) -> bytes:
        assert isinstance(asked, tuple)
        if bad in asked:
            return b'{"error": %d, "message": "Token is not valid"}' % code
        return statuses(**{token: {"status": "encoding"} for token in asked})

    with (
        StatusServer(answer) as api,
        exporting(clock, qencode_config(simulator, *tokens, base_url=api.url)) as exporter,
    ):
        scrape(exporter, simulator)

        assert total(exporter, "transcoding_tasks", **VOD, phase="encoding") == 99
        assert unknown(exporter) == 1
        assert len(api.calls) <= 1 + 2 * math.ceil(math.log2(100))
        assert (up(exporter), errors(exporter)) == (1, {})
        api.calls.clear()
        scrape(exporter, simulator)
        assert len(api.calls) == 1
        assert bad not in api.calls[0]
