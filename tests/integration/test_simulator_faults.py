"""Faults of the simulator reach a client over a real connection."""

import json
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from exporter.simulator import Fault, FaultKind, SimulatedClock, Simulator

TOKEN = "d4936f71a242d4b61d790efa217ff9d5"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(clock=SimulatedClock(start=1_795_300_000.0, speed=0.0)) as running:
        running.livepeer.account.add("upload")
        running.qencode.add("encoding", token=TOKEN, master=1, percent=50.0)
        yield running


def livepeer(simulator: Simulator, path: str = "/task", timeout: float = 10.0) -> requests.Response:
    headers = {"Authorization": f"Bearer {simulator.livepeer_key}"}
    return requests.get(
        f"{simulator.livepeer_url}{path}", headers=headers, timeout=timeout, allow_redirects=False
    )


def qencode(base_url: str) -> requests.Response:
    return requests.post(f"{base_url}/v1/status", data={"task_tokens": TOKEN}, timeout=10)


def test_given_a_delay_when_asked_then_the_answer_is_whole_but_late(simulator: Simulator) -> None:
    simulator.faults.set("livepeer_list", Fault(FaultKind.DELAY, seconds=0.2))

    start = time.monotonic()
    answer = livepeer(simulator)

    assert time.monotonic() - start >= 0.2
    assert len(answer.json()) == 1


def test_given_a_hang_when_asked_then_the_client_must_give_up(simulator: Simulator) -> None:
    simulator.faults.set("livepeer_list", Fault(FaultKind.HANG))

    with pytest.raises(requests.exceptions.ReadTimeout):
        livepeer(simulator, timeout=0.2)

    assert [request.status for request in simulator.requests] == [0]


def test_given_a_client_that_hangs_when_the_simulator_stops_then_both_end_at_once() -> None:
    failed: list[Exception] = []
    simulator = Simulator().start()
    simulator.faults.set("livepeer_list", Fault(FaultKind.HANG))

    def call() -> None:
        try:
            livepeer(simulator)
        except requests.exceptions.ConnectionError as error:
            failed.append(error)

    client = threading.Thread(target=call)
    client.start()
    while not simulator.requests:
        time.sleep(0.005)
    serving = [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]
    start = time.monotonic()
    simulator.stop()
    for thread in (client, *serving):
        thread.join(timeout=5)

    assert time.monotonic() - start < 1.0
    assert serving
    assert len(failed) == 1


def test_given_a_simulator_that_stopped_when_asked_then_it_is_refused_until_it_starts_again() -> None:
    with Simulator() as simulator:
        addresses = (simulator.livepeer_url, simulator.qencode_url, simulator.master_urls)
        task = simulator.livepeer.account.add()
        assert livepeer(simulator).status_code == 200
        simulator.stop()

        with pytest.raises(requests.exceptions.ConnectionError, match="refused"):
            livepeer(simulator)
        simulator.start()

        assert (simulator.livepeer_url, simulator.qencode_url, simulator.master_urls) == addresses
        assert [found["id"] for found in livepeer(simulator).json()] == [task]
        assert (simulator.connections, len(simulator.requests)) == (2, 2)


def test_given_a_drip_when_asked_then_the_bytes_come_one_by_one(simulator: Simulator) -> None:
    simulator.faults.set("qencode_api", Fault(FaultKind.DRIP, seconds=0.001))
    data = {"task_tokens": TOKEN}

    start = time.monotonic()
    with requests.post(f"{simulator.qencode_url}/v1/status", data=data, stream=True, timeout=10) as answer:
        length = len(answer.raw.read())

    assert length == int(answer.headers["Content-Length"]) > 100
    assert time.monotonic() - start >= 0.001 * length


def test_given_a_rate_limit_when_asked_then_retry_after_tells_how_long(simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.RATE_LIMITED, retry_after=7))

    answer = livepeer(simulator)

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize("status", [500, 503])
def test_given_a_server_error_when_asked_then_it_is_json_with_that_status(
    simulator: Simulator, status: int
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR, status=status))

    answer = livepeer(simulator)

    assert (answer.status_code, answer.json()) == (status, {"errors": ["Internal server error: error"]})


def test_given_a_proxy_in_trouble_when_asked_then_it_sends_a_web_page(simulator: Simulator) -> None:
    simulator.faults.set("qencode_api", Fault(FaultKind.HTML_ERROR))

    answer = qencode(simulator.qencode_url)

    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html")
    assert answer.text.startswith("<html>")


def test_given_an_empty_answer_when_asked_then_there_is_no_body(simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.EMPTY))

    answer = livepeer(simulator)

    assert (answer.status_code, answer.content) == (200, b"")


def test_given_a_cut_answer_when_asked_then_its_length_fits_but_it_is_no_json(simulator: Simulator) -> None:
    whole = livepeer(simulator).content
    simulator.faults.set("livepeer", Fault(FaultKind.TRUNCATED_JSON))

    cut = livepeer(simulator)

    assert whole.startswith(cut.content)
    assert int(cut.headers["Content-Length"]) == len(cut.content) < len(whole)
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut.content)


def test_given_wrong_types_when_asked_then_no_field_has_the_type_it_should_have(simulator: Simulator) -> None:
    healthy = livepeer(simulator).json()[0]
    simulator.faults.set("livepeer", Fault(FaultKind.WRONG_TYPES))

    spoiled = livepeer(simulator).json()[0]

    assert list(spoiled) == list(healthy)
    for field in ("id", "type", "createdAt"):
        assert type(spoiled[field]) is not type(healthy[field])
    assert isinstance(spoiled["status"]["updatedAt"], str)


def test_given_an_oversize_answer_when_read_then_it_goes_on_beyond_40_mebibytes(simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.OVERSIZE))
    headers = {"Authorization": f"Bearer {simulator.livepeer_key}"}

    with requests.get(f"{simulator.livepeer_url}/task", headers=headers, stream=True, timeout=10) as answer:
        read = sum(len(chunk) for chunk in answer.iter_content(1 << 20))

    assert "Content-Length" not in answer.headers
    assert read > 40 * 1024 * 1024


def test_given_a_gzip_bomb_when_read_then_a_little_becomes_more_than_64_mebibytes(
    simulator: Simulator,
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.GZIP_BOMB))

    answer = livepeer(simulator)

    assert int(answer.headers["Content-Length"]) < 1024 * 1024
    assert len(answer.content) > 64 * 1024 * 1024


def test_given_a_redirect_when_asked_then_it_points_elsewhere(simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.REDIRECT, location="http://127.0.0.1:1/steal"))

    answer = livepeer(simulator)

    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:1/steal")


def test_given_a_reset_when_asked_then_the_connection_breaks(simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.RESET))

    with pytest.raises(requests.exceptions.ConnectionError, match="reset"):
        livepeer(simulator)


@pytest.mark.parametrize("code", [1, 4, 5, 6, 7, 14])
def test_given_an_api_error_when_asked_then_the_status_is_200_and_the_code_is_in_the_answer(
    simulator: Simulator, code: int
) -> None:
    simulator.faults.set("qencode_api", Fault(FaultKind.API_ERROR, code=code))

    answer = qencode(simulator.qencode_url)

    assert (answer.status_code, answer.json()["error"]) == (200, code)
    assert "statuses" not in answer.json()


def test_given_a_busy_system_when_asked_then_it_tells_the_seconds_to_wait(simulator: Simulator) -> None:
    simulator.faults.set("qencode_api", Fault(FaultKind.API_ERROR, code=8, retry_after=30))

    answer = qencode(simulator.qencode_url).json()

    assert (answer["error"], answer["retry_after"]) == (8, 30)


def test_given_a_fault_for_two_requests_when_it_has_hit_them_then_all_is_well(simulator: Simulator) -> None:
    simulator.faults.set("livepeer_list", Fault(FaultKind.SERVER_ERROR, times=2))

    assert [livepeer(simulator).status_code for _ in range(3)] == [500, 500, 200]


def test_given_a_fault_of_one_target_when_others_are_asked_then_they_are_well(simulator: Simulator) -> None:
    task = simulator.livepeer.account.add()
    simulator.faults.set("livepeer_list", Fault(FaultKind.SERVER_ERROR))
    simulator.faults.set("qencode_master", Fault(FaultKind.SERVER_ERROR))
    simulator.faults.set("qencode_master_1", Fault(FaultKind.HTML_ERROR))

    assert livepeer(simulator).status_code == 500
    assert livepeer(simulator, f"/task/{task}").status_code == 200
    assert [qencode(url).status_code for url in simulator.master_urls] == [502, 500, 500]
    assert qencode(simulator.qencode_url).status_code == 200
    simulator.faults.clear("livepeer_list")
    assert livepeer(simulator).status_code == 200
    simulator.faults.clear()
    assert [qencode(url).status_code for url in simulator.master_urls] == [200, 200, 200]


def test_given_an_unknown_target_when_a_fault_is_set_then_it_names_the_known_ones(
    simulator: Simulator,
) -> None:
    with pytest.raises(ValueError, match="livepeer_list"):
        simulator.faults.set("livepeer_lists", Fault(FaultKind.RESET))
