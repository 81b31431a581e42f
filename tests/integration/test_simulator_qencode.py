"""The simulated Qencode answers as the vendor's pages on `/v1/status` say."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from exporter.simulator import Life, QencodeQuirks, QencodeStatus, QencodeWorld, SimulatedClock, Simulator

TOKEN = "d4936f71a242d4b61d790efa217ff9d5"
OTHER = "a2600fc63e4511e8ac870202b56d93e3"


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(start=1_795_300_000.0, speed=0.0)


@pytest.fixture
def simulator(clock: SimulatedClock) -> Iterator[Simulator]:
    with Simulator(clock=clock) as running:
        yield running


@pytest.fixture
def world(simulator: Simulator) -> QencodeWorld:
    return simulator.qencode


def ask(base_url: str, *tokens: str) -> requests.Response:
    return requests.post(f"{base_url}/v1/status", data={"task_tokens": ",".join(tokens)}, timeout=10)


def statuses(base_url: str, *tokens: str) -> Any:
    content = ask(base_url, *tokens).json()
    assert content["error"] == 0
    return content["statuses"]


# --- api.qencode.com -------------------------------------------------------------------------------


def test_given_a_job_that_downloads_when_the_api_is_asked_then_it_answers_as_in_the_vendors_example(
    simulator: Simulator, world: QencodeWorld
) -> None:
    world.add("downloading", token=TOKEN, master=2)

    answer = ask(simulator.qencode_url, TOKEN)

    # The vendor's example, with our master's address.
    status_url = f"{simulator.master_urls[1]}/v1/status".replace("/", "\\/")
    assert answer.text == (
        f'{{"error":0,"statuses":{{"{TOKEN}":{{"status":"downloading","percent":0,"error":0,'
        f'"error_description":null,"images":[],"videos":[],"status_url":"{status_url}"}}}}}}'
    )
    assert answer.headers["Content-Type"] == "application/json"


def test_given_a_finished_job_when_its_master_let_it_go_then_the_api_answers_as_in_the_vendors_example(
    simulator: Simulator, world: QencodeWorld, clock: SimulatedClock
) -> None:
    world.quirks = QencodeQuirks(master_keeps=60)
    world.add("queued", token=OTHER)
    world.complete(OTHER)
    clock.advance(61)

    status = statuses(simulator.qencode_url, OTHER)[OTHER]

    # The vendor's example of a completed job: no status_url, only the video has measures.
    assert list(status) == ["status", "percent", "error", "error_description", "images", "videos"]
    assert list(status["images"][0]) == ["tag", "profile", "user_tag", "storage", "url"]
    assert list(status["videos"][0]) == [
        *("tag", "profile", "user_tag", "storage", "url", "bitrate", "meta", "duration")
    ]
    assert list(status["videos"][0]["storage"]) == ["bucket", "type", "key", "format"]
    assert (status["status"], status["percent"], status["error"]) == ("completed", 100, 0)
    assert list(json.loads(status["videos"][0]["meta"])) == ["width", "resolution", "height"]
    assert float(status["videos"][0]["duration"]) > 0
    assert statuses(simulator.master_urls[world.find([OTHER])[OTHER].master - 1], OTHER) == {}


def test_given_no_known_token_when_the_api_is_asked_then_php_writes_an_empty_list(
    simulator: Simulator,
) -> None:
    assert ask(simulator.qencode_url, TOKEN).text == '{"error":0,"statuses":[]}'


def test_given_some_unknown_tokens_when_asked_then_they_are_missing(
    simulator: Simulator, world: QencodeWorld
) -> None:
    world.add("queued", token=TOKEN)

    assert list(statuses(simulator.qencode_url, OTHER, TOKEN)) == [TOKEN]


def test_given_the_other_way_with_unknown_tokens_when_asked_then_the_whole_call_fails(
    simulator: Simulator, world: QencodeWorld
) -> None:
    world.quirks = QencodeQuirks(unknown_fails=True)
    world.add("queued", token=TOKEN)

    content = ask(simulator.qencode_url, OTHER, TOKEN).json()

    assert content["error"] == 13
    assert "statuses" not in content


@pytest.mark.parametrize("bad", ["short", "no_underscores_here", "x" * 65, ""])
def test_given_one_malformed_token_when_asked_then_it_fails_the_whole_batch(
    simulator: Simulator, world: QencodeWorld, bad: str
) -> None:
    world.add("queued", token=TOKEN)

    answer = ask(simulator.qencode_url, TOKEN, bad)

    assert (answer.status_code, answer.json()["error"]) == (200, 13)


def test_given_no_tokens_when_asked_then_a_field_is_missing(simulator: Simulator) -> None:
    answer = requests.post(f"{simulator.qencode_url}/v1/status", timeout=10)

    assert (answer.status_code, answer.json()["error"]) == (200, 14)


def test_given_a_wrong_method_or_path_when_asked_then_it_is_refused(simulator: Simulator) -> None:
    assert requests.get(f"{simulator.qencode_url}/v1/status", timeout=10).status_code == 405
    assert requests.post(f"{simulator.qencode_url}/v2/status", timeout=10).status_code == 404
    assert requests.post(f"{simulator.master_urls[0]}/v1/create_task", timeout=10).status_code == 404


def test_given_too_fast_a_client_when_it_asks_again_then_the_system_is_busy(
    simulator: Simulator, world: QencodeWorld, clock: SimulatedClock
) -> None:
    world.quirks = QencodeQuirks(min_interval=5)
    world.add("queued", token=TOKEN)
    world.add("queued", token=OTHER)

    assert list(statuses(simulator.qencode_url, TOKEN)) == [TOKEN]
    assert list(statuses(simulator.qencode_url, OTHER)) == [OTHER]
    clock.advance(2)
    busy = ask(simulator.qencode_url, TOKEN).json()
    clock.advance(3)

    assert (busy["error"], busy["retry_after"]) == (8, 3)
    assert list(statuses(simulator.qencode_url, TOKEN)) == [TOKEN]


# --- masters ---------------------------------------------------------------------------------------


def test_given_a_job_at_work_when_its_master_is_asked_then_it_says_more_than_the_api(
    simulator: Simulator, world: QencodeWorld
) -> None:
    world.add("encoding", token=TOKEN, master=3)
    world.complete(TOKEN)
    world.set(TOKEN, "encoding", percent=68.965517241379317)

    answer = ask(simulator.master_urls[2], TOKEN)
    quick = statuses(simulator.qencode_url, TOKEN)[TOKEN]

    status = answer.json()["statuses"][TOKEN]
    # The vendor's example of a master's answer: Python's spaces, a float, outputs in this order.
    assert answer.text.startswith(f'{{"statuses": {{"{TOKEN}": {{')
    assert answer.text.endswith('}}, "error": 0}')
    assert list(status["videos"][0])[:5] == ["profile", "url", "tag", "storage", "user_tag"]
    assert list(status["videos"][0]["storage"]) == [
        *("format", "bucket", "host", "key", "scheme", "type", "port")
    ]
    assert status["percent"] == 68.965517241379317
    assert quick["percent"] == 68
    assert set(status["videos"][0]) - set(quick["videos"][0]) == {
        *("size", "status", "percent", "error", "error_description")
    }
    assert isinstance(status["videos"][0]["duration"], str)
    assert isinstance(status["videos"][0]["size"], float)


def test_given_a_job_when_a_wrong_master_is_asked_then_it_does_not_know_it(
    simulator: Simulator, world: QencodeWorld
) -> None:
    world.add("encoding", token=TOKEN, master=1)

    assert ask(simulator.master_urls[1], TOKEN).json() == {"statuses": {}, "error": 0}
    assert list(statuses(simulator.master_urls[0], TOKEN)) == [TOKEN]


def test_given_a_token_only_made_when_asked_then_no_master_is_named_and_none_knows_it(
    simulator: Simulator, world: QencodeWorld
) -> None:
    world.add(token=TOKEN)

    status = statuses(simulator.qencode_url, TOKEN)[TOKEN]

    assert status == {"status": "created", "percent": None, "error": "0", "error_description": None}
    assert all(statuses(master, TOKEN) == {} for master in simulator.master_urls)


def test_given_the_api_lags_when_a_job_changes_then_its_master_knows_first(
    simulator: Simulator, world: QencodeWorld, clock: SimulatedClock
) -> None:
    world.quirks = QencodeQuirks(api_lag=10)
    world.add("queued", token=TOKEN, master=1)
    clock.advance(20)
    world.set(TOKEN, "encoding", percent=12.5)

    assert statuses(simulator.master_urls[0], TOKEN)[TOKEN]["status"] == "encoding"
    assert statuses(simulator.qencode_url, TOKEN)[TOKEN]["status"] == "queued"
    clock.advance(10)
    assert statuses(simulator.qencode_url, TOKEN)[TOKEN]["status"] == "encoding"


def test_given_a_job_that_stops_in_its_phase_when_asked_then_only_the_flag_says_failed(
    simulator: Simulator, world: QencodeWorld
) -> None:
    world.add("encoding", token=TOKEN, master=1)
    world.fail(TOKEN, "Failed to decode input", phase=None)

    for host in (simulator.qencode_url, simulator.master_urls[0]):
        status = statuses(host, TOKEN)[TOKEN]
        assert (status["status"], status["error"]) == ("encoding", 1)
        assert status["error_description"] == "Failed to decode input"


def test_given_a_restarted_job_when_asked_then_a_warning_names_the_new_one(
    simulator: Simulator, world: QencodeWorld
) -> None:
    world.add("encoding", token=TOKEN, master=1, labels={"channel": "news"})

    successor = world.restart(TOKEN)

    old = statuses(simulator.master_urls[0], TOKEN)[TOKEN]
    assert (old["status"], old["error"]) == ("restarted", 1)
    assert successor in old["warnings"][-1]["details"]
    assert statuses(simulator.qencode_url, successor)[successor]["status"] == "queued"


def test_given_an_odd_answer_by_hand_when_asked_then_it_goes_over_the_wire_as_it_is(
    simulator: Simulator, world: QencodeWorld
) -> None:
    odd = {"percent": "8.5", "error": "0", "mood": [1]}
    world.add("encoding", token=TOKEN, master=1, wire=odd, without=frozenset({"videos", "status_url"}))

    for host in (simulator.qencode_url, simulator.master_urls[0]):
        status = statuses(host, TOKEN)[TOKEN]
        assert {name: status[name] for name in odd} == odd
        assert not {"videos", "status_url"} & set(status)


def test_given_a_script_when_time_passes_then_the_job_follows_it(
    simulator: Simulator, world: QencodeWorld, clock: SimulatedClock
) -> None:
    script = [QencodeStatus(5, "encoding", 40.0), QencodeStatus(10, "completed", 100.0)]
    token = world.add("queued", script=script)

    seen = []
    for _ in range(3):
        seen.append(statuses(simulator.qencode_url, token)[token]["status"])
        clock.advance(5)

    assert seen == ["queued", "encoding", "completed"]


# --- as a whole ------------------------------------------------------------------------------------


def test_given_life_when_asked_over_half_an_hour_then_every_documented_form_of_a_field_occurs(
    clock: SimulatedClock,
) -> None:
    percents, errors, words = set(), set(), set()
    with Simulator(seed=3, clock=clock, life=Life(backlog=0)) as simulator:
        for _ in range(120):
            clock.advance(15)
            groups = requests.get(simulator.tokens_url, timeout=10).json()
            tokens = [token for group in groups for token in group["targets"]]
            for host in (simulator.qencode_url, *simulator.master_urls) if tokens else ():
                for status in dict(statuses(host, *tokens)).values():
                    percents.add(type(status["percent"]))
                    errors.add(repr(status["error"]))
                    words.add(status["status"])

    # Numbers and flags come in all these forms, and the words are the documented ones.
    assert percents == {float, int, str, type(None)}
    assert {"0", "1", "'0'"} <= errors
    assert words >= {"created", "queued", "downloading", "started", "encoding", "saving"}
    assert words >= {"completed", "saved", "error", "restarted"}


def test_given_a_thousand_tokens_when_asked_in_one_call_then_all_are_answered_quickly(
    simulator: Simulator, world: QencodeWorld
) -> None:
    tokens = [world.add("encoding", percent=50.0, master=1) for _ in range(1000)]
    for token in tokens:
        world.complete(token)

    for host in (simulator.qencode_url, simulator.master_urls[0]):
        start = time.perf_counter()
        assert len(statuses(host, *tokens)) == 1000
        assert time.perf_counter() - start < 1.0


def test_given_jobs_old_and_new_when_discovered_then_those_of_two_hours_come_by_their_labels(
    simulator: Simulator, world: QencodeWorld, clock: SimulatedClock
) -> None:
    world.add("completed")
    clock.advance(2 * 3600 + 1)
    news = [world.add("queued", labels={"channel": "news"}) for _ in range(2)]
    plain = world.add("queued")

    answer = requests.get(simulator.tokens_url, timeout=10)

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == [
        {"targets": news, "labels": {"channel": "news"}},
        {"targets": [plain], "labels": {}},
    ]


def test_given_calls_when_made_then_they_are_on_record(simulator: Simulator, world: QencodeWorld) -> None:
    world.add("queued", token=TOKEN, master=2)

    with requests.Session() as session:
        for _ in range(3):
            session.post(f"{simulator.master_urls[1]}/v1/status", data={"task_tokens": TOKEN}, timeout=10)

    assert simulator.connections == 1
    calls = simulator.requests.to("qencode_master")
    assert [call.target for call in calls] == ["qencode_master_2"] * 3
    assert [(call.method, call.path, call.form) for call in calls] == [
        ("POST", "/v1/status", {"task_tokens": TOKEN})
    ] * 3
    assert all(call.status == 200 and call.sent_bytes > len(TOKEN) for call in calls)
    simulator.requests.clear()
    assert list(simulator.requests) == []
