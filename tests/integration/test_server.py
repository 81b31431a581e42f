"""The server: it speaks HTTP as it should, waits for nobody for ever, and mixes nothing up.

These tests notice, too, if a release of uvicorn changes what exporter/server/connection.py relies on.
"""

import gzip
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture
from exporter.model import Account, Observation, Provider, State, Task
from exporter.server.bridge import THREADS
from exporter.server.gate import OpenGate
from exporter.server.http_server import HttpServer, create_server
from exporter.server.listen import TcpAddress
from exporter.server.seats import Limits
from exporter.tracking.knowledge import Exemplar, Snapshot
from exporter.tracking.tally import Count, Tally
from exporter.web.app import Site, create_app
from tests.e2e import conftest
from tests.idle import Idle
from tests.pki import Authority
from tests.processes import running, wait_until
from tests.talking import GET, Talk
from tests.wire import Wire, http

ANYWHERE = TcpAddress("127.0.0.1", 0)
LARGE = 16_000_000
"""Bytes of an answer that the system does not take all at once, even if nobody reads it."""

HEALTHY, READY = b"Healthy.\n", b"Ready.\n"
PUT = "PUT /api/v1/qencode/vod/tokens/t HTTP/1.1\r\nHost: x\r\n"


class TlsGate(OpenGate):
    """Lets everybody in, over TLS."""

    def __init__(self, authority: Authority) -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(*authority.issue("server", "127.0.0.1"))


@contextmanager
def serving(
    refresh: Callable[[float], None] = lambda _: None,
    *,
    limits: Limits | None = None,
    gate: OpenGate | None = None,
    reload: Callable[[], Sequence[str]] | None = None,
    size: int = 0,
) -> Iterator[HttpServer]:
    """A server whose metrics are one answer, with a help of so many bytes."""
    registry = CollectorRegistry()
    Gauge("answer", "T" + "h" * size + "e answer.", registry=registry).set(42)
    site = Site(Exposition(lambda: Picture(()), registry).render, refresh, Idle(), reload=reload)
    server = create_server(create_app(site), ANYWHERE, limits=limits, gate=gate)
    server.start()
    try:
        yield server
    finally:
        assert server.leave(10)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=["plain", "tls"])
def connect(request: pytest.FixtureRequest, authority: Authority) -> Callable[[HttpServer], Talk]:
    """Connects to a server of `gate`: once without TLS, once with."""

    def plain(server: HttpServer) -> Talk:
        return Talk.to(server.urls[0])

    def encrypted(server: HttpServer) -> Talk:
        bare = plain(server).socket
        return Talk(authority.trusted().wrap_socket(bare, server_hostname="127.0.0.1"))

    return plain if request.param == "plain" else encrypted


@pytest.fixture
def gate(request: pytest.FixtureRequest, connect: object, authority: Authority) -> OpenGate:
    return OpenGate() if "plain" in request.node.callspec.id else TlsGate(authority)


# --- Requests on one connection ------------------------------------------------------------------------


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


# --- Handshakes that fail -------------------------------------------------------------------------------


def strict(authority: Authority) -> OpenGate:
    """Wants a certificate of its CA."""
    gate = TlsGate(authority)
    assert gate.tls
    gate.tls.verify_mode = ssl.CERT_REQUIRED
    gate.tls.load_verify_locations(authority.bundle)
    return gate


def modern(authority: Authority) -> OpenGate:
    """Speaks the newest TLS only."""
    gate = TlsGate(authority)
    assert gate.tls
    gate.tls.minimum_version = ssl.TLSVersion.TLSv1_3
    return gate


def ask(bare: socket.socket, context: ssl.SSLContext) -> None:
    with context.wrap_socket(bare, server_hostname="127.0.0.1") as encrypted:
        # In TLS 1.3, a client asks before it knows what is thought of its certificate.
        encrypted.sendall(GET.format("/metrics").encode() + b"x" * 4_000_000)
        encrypted.recv(1)


@pytest.mark.parametrize(
    ("make_gate", "version", "alert", "words"),
    [
        (
            strict,
            ssl.TLSVersion.TLSv1_3,
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "peer did not return a certificate",
        ),
        (
            strict,
            ssl.TLSVersion.TLSv1_2,
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            "peer did not return a certificate",
        ),
        (modern, ssl.TLSVersion.TLSv1_2, "TLSV1_ALERT_PROTOCOL_VERSION", "unsupported protocol"),
    ],
)
def test_given_a_handshake_that_fails_then_the_client_gets_the_alert_and_the_log_tells_why(
    authority: Authority,
    make_gate: Callable[[Authority], OpenGate],
    version: ssl.TLSVersion,
    alert: str,
    words: str,
) -> None:
    context = authority.trusted()
    context.minimum_version = context.maximum_version = version
    with (
        capture_logs() as logs,
        serving(gate=make_gate(authority)) as server,
        Talk.to(server.urls[0]) as talk,
    ):
        host, port = talk.socket.getsockname()
        with pytest.raises(ssl.SSLError) as failed:
            ask(talk.socket, context)
        lines = [line for line in logs if line["event"] == "TLS handshake failed"]

    assert failed.value.reason == alert
    assert lines == [
        {
            "event": "TLS handshake failed",
            "log_level": "info",
            "client": f"{host}:{port}",
            "reason": words,
            "number": 1,
        }
    ]


def test_given_a_client_that_does_not_trust_the_certificate_then_the_log_tells_its_alert(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path)
    with capture_logs() as logs, serving(gate=TlsGate(authority)) as server, Talk.to(server.urls[0]) as talk:
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.trusted().wrap_socket(talk.socket, server_hostname="127.0.0.1")
        line = wait_until(
            lambda: next((one for one in logs if one["event"] == "TLS handshake failed"), None),
            20,
            "the failure is told",
        )

    assert line["reason"] == "tlsv1 alert unknown ca"


def test_given_a_client_that_speaks_no_tls_and_stays_then_it_is_ended(authority: Authority) -> None:
    limits = Limits(handshake=0.3)
    with serving(gate=TlsGate(authority), limits=limits) as server, Talk.to(server.urls[0]) as talk:
        talk.send(GET.format("/-/healthy"))

        assert b"HTTP" not in talk.rest()
        wait_until(lambda: not talk.send("a"), 20, "the connection is closed")


def test_given_clients_that_leave_in_the_handshake_then_it_goes_on_and_nothing_is_wrong(
    authority: Authority,
) -> None:
    with capture_logs() as logs, serving(gate=TlsGate(authority)) as server:
        for _ in range(5):
            Talk.to(server.urls[0]).socket.close()
        ended = "connection ended in its TLS handshake"
        wait_until(lambda: [line["event"] for line in logs].count(ended) == 5, 20, "all have ended")
        answer = requests.get(f"{server.urls[0]}/-/healthy", verify=str(authority.bundle), timeout=10)

        assert answer.status_code == 200
    assert {line["log_level"] for line in logs} == {"debug"}


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


# --- Threads -------------------------------------------------------------------------------------------


class Occupied:
    """A server all of whose threads are busy, until told."""

    def __init__(self, server: HttpServer, go_on: threading.Event) -> None:
        self.url = server.urls[0]
        self.go_on = go_on


@contextmanager
def occupied(refresh: Callable[[float], None] = lambda _: None) -> Iterator[Occupied]:
    go_on, busy = threading.Event(), threading.Semaphore(0)

    def reload() -> Sequence[str]:
        busy.release()
        go_on.wait(20)
        return ()

    with serving(refresh, reload=reload) as server, ThreadPoolExecutor(THREADS) as callers:
        calls = [
            callers.submit(requests.post, f"{server.urls[0]}/-/reload", timeout=20) for _ in range(THREADS)
        ]
        try:
            for _ in range(THREADS):
                assert busy.acquire(timeout=20)
            yield Occupied(server, go_on)
        finally:
            go_on.set()
        assert {call.result().status_code for call in calls} == {200}


def test_given_no_free_thread_when_asked_for_its_health_then_it_answers_and_all_else_waits() -> None:
    with occupied() as server, Talk.to(server.url) as other:
        other.send(GET.format("/metrics"))
        for page, body in (("healthy", "Healthy.\n"), ("ready", "Ready.\n")):
            assert requests.get(f"{server.url}/-/{page}", timeout=1).text == body
        server.go_on.set()

        assert other.read().status == 200


def test_given_a_scraper_that_left_before_a_thread_was_free_then_nothing_is_refreshed_for_it() -> None:
    refreshes: list[float] = []
    with occupied(refreshes.append) as server:
        with Talk.to(server.url) as impatient:
            impatient.send(GET.format("/metrics"))
            assert requests.get(f"{server.url}/-/healthy", timeout=10).ok
        # To notice takes the loop some turns, and each of these takes more.
        for _ in range(3):
            assert requests.get(f"{server.url}/-/healthy", timeout=10).ok
        server.go_on.set()
        assert requests.get(f"{server.url}/nowhere", timeout=10).status_code == 404

    assert refreshes == []


# --- The end -------------------------------------------------------------------------------------------


def test_when_it_leaves_then_who_waits_for_an_answer_gets_it_and_nobody_else_is_waited_for(
    gate: OpenGate, connect: Callable[[HttpServer], Talk]
) -> None:
    go_on, waiting = threading.Event(), threading.Event()

    def refresh(_: float) -> None:
        waiting.set()
        go_on.wait(20)

    with serving(refresh, gate=gate) as server, ExitStack() as stack:
        idle, dripping, scraping = (stack.enter_context(connect(server)) for _ in range(3))
        assert idle.get("/-/healthy").status == 200
        dripping.send("GET /-/hea")
        scraping.send(GET.format("/metrics"))
        assert waiting.wait(10)
        assert not server.leave(0.1)

        assert (idle.rest(), dripping.rest()) == (b"", b"")
        with pytest.raises(ConnectionError):
            Talk.to(server.urls[0])
        go_on.set()
        assert scraping.read().status == 200
        assert scraping.rest() == b""
        assert server.leave(10)


# --- Clients with certificates -------------------------------------------------------------------------


class Choosy(TlsGate):
    """Lets in whose certificate has a certain name."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        assert self.tls
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.tls.load_verify_locations(authority.bundle)

    def admits(self, certificate: object) -> bool:
        return "prometheus.example.com" in repr(certificate)


@pytest.mark.parametrize(
    ("name", "admitted"), [("prometheus.example.com", True), ("nosy.example.com", False)]
)
def test_given_a_certificate_when_it_connects_then_its_names_decide(
    authority: Authority, name: str, admitted: bool
) -> None:
    certificate: tuple[Path, Path] = authority.issue("client", name)
    context = authority.trusted()
    context.load_cert_chain(*certificate)
    with serving(gate=Choosy(authority)) as server:
        bare = Talk.to(server.urls[0]).socket
        with Talk(context.wrap_socket(bare, server_hostname="127.0.0.1")) as talk:
            talk.send(GET.format("/-/healthy").replace("Host", "Connection: close\r\nHost"))

            assert talk.rest().endswith(HEALTHY) is admitted


# --- What scrapers read ----------------------------------------------------------------------------------

ODD = (
    *(
        "\\",
        "\n",
        '"',
        "\\n",
        '\\"',
        "ends with \\",
        'a="b",c',
        "} 1\n",
        "{}",
        "%s",
        "%(a)s",
        " # {",
        "\n# EOF\n",
    ),
    *("\r", "\t", "\x00", "\x85\u2028", "ü", "🎬", "\u202eabc"),
)
"""What needs escaping, what looks as if it did, and what a format could stumble over."""

tool = conftest.tool


def odd_picture() -> Picture:
    """Return a task for each odd text, and one that stands for the failures."""
    tasks = (
        Task(
            Observation(
                *(text, "clip", text, State.UNKNOWN, 0.0),
                project=text,
                labels=(("customer", f"{text} of acme"),),
            ),
            None,
            1000.0,
        )
        for text in ODD
    )
    failures = Count(Tally.FAILURES, ("clip", "drm"))
    snapshot = Snapshot(
        Account(Provider.LIVEPEER, "studio"),
        1000.0,
        tuple(tasks),
        {failures: 1.0},
        {failures: Exemplar('"\\\n🎬', 1.0, time.time())},
    )
    return Picture((snapshot,))


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    """The URL of metrics with odd texts."""
    site = Site(Exposition(odd_picture, CollectorRegistry()).render, lambda _: None, Idle())
    server = create_server(create_app(site), ANYWHERE)
    server.start()
    try:
        yield f"{server.urls[0]}/metrics"
    finally:
        assert server.leave(10)


@pytest.fixture(scope="module")
def plain(odd: str) -> bytes:
    """The same metrics, as nobody packed them."""
    answer = requests.get(odd, headers={"Accept-Encoding": "identity"}, timeout=10)
    assert "Content-Encoding" not in answer.headers
    return answer.content


@pytest.fixture(scope="module")
def without_isal(plain: bytes) -> Iterator[str]:
    """The URL of the same metrics, packed where there is no isal: not every processor has it."""
    script = """if True:
        import sys
        sys.modules["isal"] = None
        from exporter.pieces import Piece, gzipped, zlib
        text = sys.stdin.buffer.read()
        assert zlib.__name__ == "zlib"
        sys.stdout.buffer.writelines(gzipped(map(Piece, (text[:9], b"", text[9:70_000], text[70_000:]))))
    """
    packed = subprocess.run([sys.executable, "-c", script], input=plain, stdout=subprocess.PIPE, check=True)
    headers = ("Content-Encoding: gzip", "Content-Type: text/plain; version=0.0.4; charset=utf-8")
    with Wire(lambda _: http(200, packed.stdout, *headers)) as wire:
        yield f"{wire.url}/metrics"


@pytest.fixture(params=["isal", "zlib"])
def url(request: pytest.FixtureRequest) -> str:
    served: str = request.getfixturevalue("odd" if request.param == "isal" else "without_isal")
    return served


def test_given_a_client_that_reads_gzip_then_it_gets_the_same_text(url: str, plain: bytes) -> None:
    with requests.get(url, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10) as answer:
        packed = answer.raw.read(decode_content=False)

    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) == len(packed) < len(plain) / 5
    assert gzip.decompress(packed) == plain


def test_given_curl_when_it_asks_for_something_packed_then_it_reads_the_same_text(
    url: str, plain: bytes, tool: Callable[[str], str]
) -> None:
    command = [tool("curl"), "--silent", "--show-error", "--fail", "--compressed", "--include", url]
    head, _, text = subprocess.run(command, capture_output=True, check=True).stdout.partition(b"\r\n\r\n")

    assert b"content-encoding: gzip" in head.lower()
    assert text == plain


def test_given_odd_texts_then_promtool_finds_nothing(plain: bytes, tool: Callable[[str], str]) -> None:
    result = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    assert (result.returncode, result.stdout.decode()) == (0, "")


def test_given_odd_texts_then_prometheus_knows_the_tasks_by_them(
    odd: str, without_isal: str, tool: Callable[[str], str], tmp_path: Path
) -> None:
    jobs = {"openmetrics": odd, "text": without_isal}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [url.split("/")[2]]}]}
            for job, url in jobs.items()
        ],
    }
    # JSON is YAML, too.
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    command = [
        tool("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--enable-feature=exemplar-storage",
    ]
    with running(command) as prometheus:
        address = prometheus.find(r'msg="Listening on".* address=(127\.0\.0\.1:\d+)')

        def ask(path: str, query: str) -> Any:
            parameters = {"query": query, "start": f"{time.time() - 600}", "end": f"{time.time() + 600}"}
            return requests.get(f"http://{address}/api/v1/{path}", parameters, timeout=10).json().get("data")

        def tasks() -> list[dict[str, str]]:
            found = (ask("query", "transcoding_task_info") or {"result": []})["result"]
            infos = [each["metric"] for each in found]
            return infos if {info["job"] for info in infos} == {*jobs} else []

        told = wait_until(tasks, 30, "the tasks of both jobs")
        (failures,) = ask("query_exemplars", "transcoding_task_failures_total")

    names = ("job", "task", "project", "customer")
    assert Counter(tuple(info[name] for name in names) for info in told) == Counter(
        (job, text, text, f"{text} of acme") for job in jobs for text in ODD
    )
    (exemplar,) = failures["exemplars"]
    # Some versions of Prometheus leave the label of an exemplar as it was escaped.
    assert exemplar["labels"]["task"] in ('"\\\n🎬', r"\"\\\n🎬")
