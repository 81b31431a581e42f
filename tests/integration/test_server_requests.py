"""Requests on one connection: the server speaks HTTP as it should, and mixes nothing up."""

import threading
from collections.abc import Callable

import pytest
import requests

from exporter.server.gate import OpenGate
from exporter.server.http_server import HttpServer
from tests.answering import HEALTHY, PUT, READY, serving
from tests.talking import GET, Talk


def test_when_asked_again_and_again_then_one_connection_will_do(
    gate: OpenGate, connect: Callable[[HttpServer], Talk]
) -> None:
    with serving(gate=gate) as server, connect(server) as talk:
        replies = [talk.get(path) for path in ("/-/healthy", "/metrics", "/nowhere", "/-/ready")]

        assert [reply.status for reply in replies] == [200, 200, 404, 200]
        assert [replies[0].body, replies[3].body] == [HEALTHY, READY]
        assert {reply.headers["server"] for reply in replies} == {"transcoding-exporter"}
        assert all(reply.headers["date"].endswith(" GMT") for reply in replies)


def test_given_requests_that_do_not_wait_for_answers_then_they_are_answered_in_their_order() -> None:
    """The first one is the slowest."""
    ready = threading.Event()

    def refresh(_: float) -> None:
        ready.wait(20)

    with serving(refresh) as server, Talk.to(server.urls[0]) as talk:
        talk.send(GET.format("/metrics") + GET.format("/-/healthy") + GET.format("/-/ready"))
        with Talk.to(server.urls[0]) as other:
            assert other.get("/-/healthy").body == HEALTHY
        ready.set()

        assert b"\nanswer 42.0" in talk.read().body
        assert [talk.read().body, talk.read().body] == [HEALTHY, READY]


def test_given_garbage_behind_a_request_then_the_request_is_answered_and_the_connection_ends() -> None:
    with serving() as server, Talk.to(server.urls[0]) as talk:
        talk.send(GET.format("/-/healthy") + "\x16\x03\x01 garbage\r\n\r\n" + GET.format("/-/ready"))

        assert talk.read().body == HEALTHY
        rest = talk.rest()
        assert rest.startswith(b"HTTP/1.1 400 ")
        assert rest.count(b"HTTP/1.1 ") == 1


def test_given_garbage_in_place_of_chunks_then_there_is_one_answer_at_most() -> None:
    refreshes: list[float] = []
    with serving(refreshes.append) as server, Talk.to(server.urls[0]) as talk:
        talk.send(f"{PUT}Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + GET.format("/metrics"))

        assert talk.rest().count(b"HTTP/1.1 ") == 1
        assert refreshes == []


def test_given_a_body_whose_length_is_told_in_two_ways_then_nothing_behind_it_is_taken_for_a_request() -> (
    None
):
    with serving() as server, Talk.to(server.urls[0]) as talk:
        both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        talk.send(f"{PUT}{both}" + GET.format("/-/healthy"))

        assert talk.read().status == 400
        assert talk.rest() == b""


def test_when_only_the_head_is_asked_for_then_the_next_answer_is_not_mixed_with_a_body() -> None:
    with serving(size=1000) as server, Talk.to(server.urls[0]) as talk:
        talk.send("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        head = talk.read("HEAD")

        assert head.status == 200
        assert int(head.headers["content-length"]) == len(talk.get("/metrics").body) > 1000
        assert talk.get("/-/healthy").body == HEALTHY


def test_given_a_client_that_waits_for_a_continue_then_it_gets_one_if_its_body_is_wanted() -> None:
    with serving() as server, Talk.to(server.urls[0]) as talk:
        talk.send(f"{PUT}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert talk.read().status == 100
        talk.send("{}")
        assert talk.read().status == 403

        talk.send(f"{PUT}Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n")
        assert talk.read().status == 413
        assert talk.rest() == b""


def test_given_a_client_of_http_1_0_then_the_connection_ends_with_the_answer() -> None:
    with serving() as server, Talk.to(server.urls[0]) as talk:
        talk.send("GET /-/healthy HTTP/1.0\r\n\r\n")

        assert talk.read().body == HEALTHY
        assert talk.rest() == b""


def test_given_a_whole_url_in_place_of_a_path_then_it_is_understood() -> None:
    with serving() as server, Talk.to(server.urls[0]) as talk:
        assert talk.get("http://x.example.com/-/ready?a=b").body == READY
        assert talk.get("http://x.example.com").status == 200


@pytest.mark.parametrize(
    "name", ["X_Prometheus_Scrape_Timeout_Seconds", "X-Prometheus_Scrape-Timeout-Seconds"]
)
def test_given_a_header_that_only_looks_like_one_that_counts_then_it_does_not(name: str) -> None:
    refreshes: list[float] = []
    with serving(refreshes.append) as server, Talk.to(server.urls[0]) as talk:
        talk.send(f"GET /metrics HTTP/1.1\r\nHost: x\r\n{name}: 2\r\n\r\n")
        talk.read()

    assert refreshes == [9.5]


def test_when_the_way_of_asking_is_wrong_then_the_answer_says_which_is_right() -> None:
    with serving() as server:
        answer = requests.post(f"{server.urls[0]}/-/healthy", data="x", timeout=10)

        assert answer.status_code == 405
        assert {"GET", "HEAD"} <= set(answer.headers["Allow"].split(", "))
