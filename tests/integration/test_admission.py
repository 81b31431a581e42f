"""Who may ask: refused before anything is read, in a fair order, and whatever page makes a browser ask."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
from prometheus_client import CollectorRegistry

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture
from exporter.server.gate import OpenGate, Refusal
from exporter.server.http_server import HttpServer, create_server
from exporter.server.listen import TcpAddress
from exporter.server.location import ROOT, Location, locate
from exporter.server.work import AT_ONCE, WAITING
from exporter.web.app import Site, create_app
from tests.idle import Idle
from tests.processes import wait_until
from tests.talking import GET, Talk

RELOAD = "/-/reload"
TOKEN = "/api/v1/qencode/vod/tokens/t"
PUT = f"PUT {TOKEN} HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def serving(gate: OpenGate | None = None, location: Location = ROOT) -> Iterator["Served"]:
    """A server that can be asked to reload, and counts how often it was."""
    reloads: list[None] = []

    def reload() -> Sequence[str]:
        reloads.append(None)
        return ()

    metrics = Exposition(lambda: Picture(()), CollectorRegistry()).render
    site = Site(metrics, lambda _: None, Idle(), reload=reload, location=location)
    server = create_server(create_app(site), TcpAddress("127.0.0.1", 0), gate=gate, location=location)
    server.start()
    try:
        yield Served(server, reloads)
    finally:
        assert server.leave(10)


class Served:
    """A server, and how often it was asked to reload."""

    def __init__(self, server: HttpServer, reloads: list[None]) -> None:
        self.url = server.urls[0]
        self._reloads = reloads

    @property
    def reloads(self) -> int:
        return len(self._reloads)

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> requests.Response:
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=10)


# --- Before the body -----------------------------------------------------------------------------------


class Closed(OpenGate):
    """Lets nobody in."""

    def refusal(self, authorization: str | None) -> Refusal:
        return Refusal(401, (("WWW-Authenticate", "Basic"),), "No.")


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 2\r\n\r\n",
        "Content-Length: 100000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_given_a_client_that_may_not_ask_then_it_is_refused_although_its_body_never_comes(head: str) -> None:
    with serving(Closed()) as server, Talk.to(server.url) as talk:
        talk.send(PUT + head)
        reply = talk.read()

        # Not 100, which would ask for the body.
        assert (reply.status, reply.headers["connection"]) == (401, "close")
        assert talk.rest() == b""


def test_given_a_client_that_may_not_ask_then_what_it_sends_behind_its_body_is_no_request() -> None:
    with serving(Closed()) as server, Talk.to(server.url) as talk:
        talk.send(f"{PUT}Content-Length: 2\r\n\r\n{{}}" + GET.format("/-/healthy"))

        assert talk.read().status == 401
        assert talk.rest() == b""


def test_given_a_client_that_may_not_ask_but_sends_no_body_then_it_can_ask_again() -> None:
    with serving(Closed()) as server, Talk.to(server.url) as talk:
        assert [talk.get("/metrics").status for _ in range(2)] == [401, 401]


# --- Passwords -----------------------------------------------------------------------------------------


class Doubtful(OpenGate):
    """Looks at every password, for as long as it is told to; `right` is the right one."""

    def __init__(self) -> None:
        self.looked_at: list[str] = []
        self.go = threading.Semaphore(0)

    def known(self, authorization: str | None) -> bool:
        return authorization is None

    def refusal(self, authorization: str | None) -> Refusal | None:
        if authorization is None:
            return None
        self.looked_at.append(authorization)
        assert self.go.acquire(timeout=20)
        return None if authorization == "right" else Refusal(401, (), "No.")


def test_given_a_flood_of_wrong_passwords_when_another_client_comes_then_it_is_the_next() -> None:
    flood, gate = 60, Doubtful()
    statuses: list[int] = []

    def try_one(number: int) -> requests.Response:
        answer = server.ask("GET", "/metrics", {"Authorization": f"wrong {number}"})
        statuses.append(answer.status_code)
        return answer

    with serving(gate) as server, ThreadPoolExecutor(flood) as eve:
        tries = [eve.submit(try_one, number) for number in range(flood)]
        wait_until(lambda: len(statuses) >= flood - WAITING - AT_ONCE, 20, "most are sent away")
        assert set(statuses) == {429}
        host, port = server.url.removeprefix("http://").split(":")
        with Talk(socket.create_connection((host, int(port)), 20, ("127.0.0.2", 0))) as alice:
            alice.send("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: right\r\n\r\n")
            # Who needs no look is answered all the same; and once it is, the one before is in the queue.
            assert server.ask("GET", "/-/healthy", {}).text == "Healthy.\n"
            gate.go.release(flood)
            assert alice.read().status == 200
        answers = [one.result() for one in tries]

    assert gate.looked_at.index("right") < 2 * AT_ONCE
    busy = [answer for answer in answers if answer.status_code == 429]
    assert {answer.headers["Retry-After"] for answer in busy} == {"1"}
    assert len(busy) + len(gate.looked_at) == flood + 1


# --- Pages of other sites ------------------------------------------------------------------------------

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://exporter:10477"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://exporter:9090"},
    {"Origin": "http://exporter"},
    {"Origin": "null"},
    {"Origin": ""},
]
OWN = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://exporter:10477"},
    {"Origin": "http://exporter:10477"},
    {"Origin": "https://Exporter:10477"},
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_given_a_page_of_another_site_when_it_asks_to_reload_then_it_is_refused(
    method: str, headers: Mapping[str, str]
) -> None:
    with serving() as server:
        answer = server.ask(method, RELOAD, {"Host": "exporter:10477", **headers})

        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "a page of another site" in answer.text
        assert server.reloads == 0


def test_given_a_page_of_nowhere_and_no_host_then_it_is_not_taken_for_ours() -> None:
    with serving() as server, Talk.to(server.url) as talk:
        talk.send(f"POST {RELOAD} HTTP/1.0\r\nOrigin: null\r\nContent-Length: 0\r\n\r\n")

        assert talk.read().status == 403
        assert server.reloads == 0


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_given_a_page_of_ours_or_no_browser_when_it_asks_to_reload_then_it_is_done(
    headers: Mapping[str, str],
) -> None:
    with serving() as server:
        answer = server.ask("POST", RELOAD, {"Host": "exporter:10477", **headers})

        assert (answer.status_code, answer.text) == (200, "Reloaded.\n")
        assert server.reloads == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_given_a_page_of_another_site_when_it_would_change_a_token_then_it_is_refused_in_json(
    method: str,
) -> None:
    with serving() as server:
        answer = server.ask(method, TOKEN, {"Origin": "https://evil.example"})

        assert answer.status_code == 403
        assert "a page of another site" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/api/v1/tasks"])
def test_given_a_page_of_another_site_when_it_only_looks_then_it_is_answered(path: str) -> None:
    # What it gets, its browser does not let it read.
    with serving() as server:
        answer = server.ask("GET", path, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})

        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize(
    ("origin", "status"), [("https://example.com", 200), ("https://example.com:8443", 403)]
)
def test_given_a_proxy_that_names_another_host_then_pages_of_the_url_outside_are_ours(
    origin: str, status: int
) -> None:
    location = locate("https://example.com/transcoding")
    with serving(location=location) as server:
        answer = server.ask("POST", f"/transcoding{RELOAD}", {"Host": "10.0.0.7:10477", "Origin": origin})

        assert answer.status_code == status


# --- Headers of every answer ---------------------------------------------------------------------------


def head_of(talk: Talk) -> Sequence[str]:
    """The lines of the next answer's head, in lower case."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = talk.socket.recv(65536)
        assert piece, f"the connection ended after {received!r}"
        received += piece
    return received.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (GET.format("/metrics"), 200),
        (GET.format("/"), 200),
        (GET.format("/runbooks/"), 200),
        (GET.format("/static/style.css"), 200),
        (GET.format("/-/healthy"), 200),
        (GET.format("/api/v1/tasks"), 200),
        (GET.format("/nowhere"), 404),
        (GET.format("/api/v1/nowhere"), 404),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        (f"{PUT}Content-Length: 100000000\r\n\r\n", 413),
        ("no HTTP at all\r\n\r\n", 400),
    ],
)
def test_no_answer_lets_a_browser_guess_what_it_is(request_head: str, status: int) -> None:
    with serving() as server, Talk.to(server.url) as talk:
        talk.send(request_head)
        lines = head_of(talk)

    assert lines[0].startswith(f"http/1.1 {status} ")
    assert lines.count("x-content-type-options: nosniff") == 1


def test_who_is_not_let_in_is_told_so_in_an_answer_that_nobody_guesses_at() -> None:
    with serving(Closed()) as server:
        answer = server.ask("GET", "/metrics", {})

        assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (401, "nosniff")


class Demanding(OpenGate):
    """Wants headers on every answer."""

    headers = (("X-Frame-Options", "deny"), ("x-content-type-options", "nosniff"))


@pytest.mark.parametrize("text", [GET.format("/metrics"), "no HTTP at all\r\n\r\n"])
def test_what_the_operator_wants_on_every_answer_is_there_once(text: str) -> None:
    with serving(Demanding()) as server, Talk.to(server.url) as talk:
        talk.send(text)
        lines = head_of(talk)

    assert lines.count("x-content-type-options: nosniff") == 1
    assert lines.count("x-frame-options: deny") == 1
