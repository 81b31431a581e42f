"""The server's limits: it waits for nobody for ever, and takes no more than it has room for."""

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import requests
from structlog.testing import capture_logs

from exporter.server.gate import OpenGate
from exporter.server.http_server import HttpServer
from exporter.server.seats import Limits
from tests.answering import HEALTHY, PUT, TlsGate, serving
from tests.pki import Authority
from tests.processes import wait_until
from tests.talking import GET, Talk

LARGE = 16_000_000
"""Bytes of an answer that the system does not take all at once, even if nobody reads it."""


# --- Size ----------------------------------------------------------------------------------------------


def test_given_a_long_head_then_it_is_read() -> None:
    with serving() as server, Talk.to(server.urls[0]) as talk:
        talk.send(f"GET /-/healthy HTTP/1.1\r\nHost: x\r\nCookie: {'a' * 40_000}\r\n\r\n")

        assert talk.read().body == HEALTHY


def test_given_a_head_that_is_too_long_then_it_is_refused_before_its_end() -> None:
    with serving() as server, Talk.to(server.urls[0]) as talk:
        talk.send(f"GET /-/healthy HTTP/1.1\r\nHost: x\r\nCookie: {'a' * 50_000}")

        assert talk.rest().startswith(b"HTTP/1.1 400 ")


def test_given_a_body_that_is_too_large_when_all_of_it_is_sent_then_one_can_still_read_why() -> None:
    with serving() as server, Talk.to(server.urls[0]) as talk:
        assert talk.send(f"{PUT}Content-Length: 4000000\r\n\r\n" + "a" * 4_000_000)

        assert talk.read().status == 413
        assert talk.rest() == b""


def test_given_garbage_behind_a_body_that_was_refused_then_there_is_no_second_answer() -> None:
    with capture_logs() as logs, serving() as server, Talk.to(server.urls[0]) as talk:
        talk.send(f"{PUT}Transfer-Encoding: chunked\r\n\r\n11170\r\n" + "a" * 70_000)
        assert talk.read().status == 413
        talk.send("\r\nno chunk\r\n")

        assert talk.rest() == b""
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(65_536, 403), (65_537, 413)])
def test_given_a_large_body_then_it_is_read_if_it_is_not_too_large(
    chunked: bool, size: int, status: int
) -> None:
    body = b"x" * size
    with serving() as server:
        url = f"{server.urls[0]}/api/v1/qencode/vod/tokens/t"
        answer = requests.put(url, data=iter([body]) if chunked else body, timeout=10)

        assert answer.status_code == status
        assert list(answer.json()) == ["error"]


def test_given_a_large_answer_when_it_is_read_bit_by_bit_then_all_of_it_comes(
    gate: OpenGate, connect: Callable[[HttpServer], Talk]
) -> None:
    with serving(gate=gate, size=LARGE) as server, connect(server) as talk:
        body = talk.get("/metrics").body

    answer = b"# HELP answer T" + b"h" * LARGE + b"e answer.\n# TYPE answer gauge\nanswer 42.0\n"
    assert body.startswith(answer)


def test_given_answers_that_nobody_reads_then_the_oldest_is_given_up_when_they_are_too_many() -> None:
    with serving(limits=Limits(unsent=LARGE * 3 // 2), size=LARGE) as server, ExitStack() as stack:
        first, second = (stack.enter_context(Talk.to(server.urls[0])) for _ in range(2))
        for talk in (first, second):
            talk.send(GET.format("/metrics"))
            assert talk.socket.recv(4, socket.MSG_PEEK) == b"HTTP"

        assert len(second.read().body) > LARGE
        assert len(first.rest()) < LARGE


# --- Time ----------------------------------------------------------------------------------------------


def test_given_a_connection_that_sends_nothing_then_it_is_closed(
    gate: OpenGate, connect: Callable[[HttpServer], Talk]
) -> None:
    with serving(gate=gate, limits=Limits(head=0.2)) as server, connect(server) as talk:
        assert talk.rest() == b""


def test_given_a_head_that_drips_then_the_connection_is_closed(
    gate: OpenGate, connect: Callable[[HttpServer], Talk]
) -> None:
    with serving(gate=gate, limits=Limits(head=0.3)) as server, connect(server) as talk:
        assert talk.get("/-/healthy").status == 200
        talk.send("GET /-/healthy HTTP/1.1\r\nX: ")
        wait_until(lambda: not talk.send("a"), 20, "the connection is closed")


def test_given_a_scraper_that_comes_back_then_it_has_longer_than_for_a_head() -> None:
    """What was opened after its first scrape and sends nothing is closed long before."""
    with serving(limits=Limits(head=0.2)) as server, Talk.to(server.urls[0]) as scraper:
        assert scraper.get("/metrics").status == 200
        with Talk.to(server.urls[0]) as silent:
            silent.rest()

        assert scraper.get("/metrics").status == 200


def test_given_prometheus_default_scrape_interval_then_its_connection_stays_open() -> None:
    assert Limits().idle > 60


def test_given_a_connection_without_a_further_request_then_it_is_closed(
    gate: OpenGate, connect: Callable[[HttpServer], Talk]
) -> None:
    with serving(gate=gate, limits=Limits(idle=0.2)) as server, connect(server) as talk:
        assert talk.get("/-/healthy").status == 200
        assert talk.rest() == b""


@pytest.mark.parametrize("head", ["Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nff\r\n"])
@pytest.mark.parametrize("drips", [False, True])
def test_given_a_body_that_does_not_come_then_the_request_is_ended(head: str, drips: bool) -> None:
    with serving(limits=Limits(body=0.3)) as server, Talk.to(server.urls[0]) as talk:
        talk.send(f"{PUT}{head}")
        if drips:
            talk.send("a")
        reply = talk.read()

        assert (reply.status, reply.headers["connection"]) == (408, "close")
        assert b"did not come in time" in reply.body
        assert talk.rest() == b""


def test_given_a_client_that_does_not_read_then_it_is_given_up(
    gate: OpenGate, connect: Callable[[HttpServer], Talk]
) -> None:
    """Or the server would wait for it now."""
    with serving(gate=gate, limits=Limits(write=0.3), size=LARGE) as server, connect(server) as talk:
        talk.send(GET.format("/metrics"))
        head = talk.socket.recv(1024)

        assert head.startswith(b"HTTP/1.1 200 ")
        assert server.leave(20)


def test_given_a_handshake_that_does_not_come_then_the_connection_is_closed(authority: Authority) -> None:
    limits = Limits(handshake=0.2)
    with serving(gate=TlsGate(authority), limits=limits) as server, Talk.to(server.urls[0]) as talk:
        assert talk.rest() == b""


# --- Number --------------------------------------------------------------------------------------------


def test_given_no_seat_when_another_one_comes_then_who_waits_longest_for_a_request_leaves(
    gate: OpenGate, connect: Callable[[HttpServer], Talk]
) -> None:
    with serving(gate=gate, limits=Limits(connections=3)) as server, ExitStack() as stack:
        first, second, third, fourth = (stack.enter_context(connect(server)) for _ in range(4))
        assert [talk.get("/-/healthy").status for talk in (third, second, fourth)] == [200, 200, 200]
        assert first.rest() == b""

        fifth = stack.enter_context(connect(server))
        assert fifth.get("/-/healthy").status == 200
        assert third.rest() == b""
        assert second.get("/-/healthy").status == 200


def test_given_handshakes_that_do_not_come_when_seats_run_out_then_they_leave(authority: Authority) -> None:
    with serving(gate=TlsGate(authority), limits=Limits(connections=3)) as server, ExitStack() as stack:
        silent = [stack.enter_context(Talk.to(server.urls[0])) for _ in range(3)]
        answer = requests.get(f"{server.urls[0]}/-/healthy", verify=str(authority.bundle), timeout=10)

        assert answer.status_code == 200
        assert silent[0].rest() == b""


def test_given_seats_of_which_all_wait_for_answers_when_another_one_comes_then_it_is_refused() -> None:
    go_on, waiting = threading.Event(), threading.Semaphore(0)

    def refresh(_: float) -> None:
        waiting.release()
        go_on.wait(20)

    with serving(refresh, limits=Limits(connections=2)) as server, ExitStack() as stack:
        scrapers = [stack.enter_context(Talk.to(server.urls[0])) for _ in range(2)]
        for scraper in scrapers:
            scraper.send(GET.format("/metrics"))
            assert waiting.acquire(timeout=10)
        with Talk.to(server.urls[0]) as third:
            third.send(GET.format("/-/healthy"))
            assert third.rest() == b""
        go_on.set()

        assert [scraper.read().status for scraper in scrapers] == [200, 200]
