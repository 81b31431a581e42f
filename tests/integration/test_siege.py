"""Whoever means harm over HTTP: health is answered within a second throughout, and the memory stays."""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest
import requests

from exporter.simulator import Fault, FaultKind, Simulator
from tests.pki import HASH, PASSWORD, Authority
from tests.processes import ANY_PORT, EXPORTER, Process, running, wait_until
from tests.scraping import scrape
from tests.served import livepeer, serving, write
from tests.talking import GET, Talk

CONNECTIONS: Final = 200
GIB: Final = 1024 * 1024 * 1024
MIB: Final = 1024 * 1024

Attack = Callable[[str], object]


class Target:
    """A process under siege, which is asked for its health all the time."""

    def __init__(self, process: Process, site: str, bundle: Path | None = None) -> None:
        self.process = process
        self.site = site
        self._verify = str(bundle) if bundle else True
        self._before = 0
        self._beats = 0
        self._end = threading.Event()

    def healthy(self) -> bool:
        """Whether it says so within a second, over a new connection."""
        return requests.get(f"{self.site}/-/healthy", verify=self._verify, timeout=1).text == "Healthy.\n"

    def memory(self) -> int:
        """Bytes of memory in use."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @contextmanager
    def besieged(self) -> Iterator[None]:
        """Fails if one answer about its health is late, or if the memory grows by 50 MiB."""
        assert requests.get(self.site, verify=self._verify, timeout=20).ok
        assert all(self.healthy() for _ in range(10))
        # The first siege sets the measure: what one leaves behind counts in the next, too.
        self._before = self._before or self.memory()

        def watch() -> int:
            highest = 0
            try:
                while not self._end.is_set():
                    assert self.healthy()
                    highest = max(highest, self.memory())
                    self._beats += 1
            finally:
                self._end.set()
            return highest

        self._end.clear()
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                yield
                self.stand(10)
            finally:
                self._end.set()
            most = watching.result()
        assert most - self._before < 50 * MIB
        assert "Traceback" not in self.process.stderr
        assert " level=error " not in self.process.stderr

    def stand(self, beats: int) -> None:
        """Wait for so many answers."""
        goal = self._beats + beats
        deadline = time.monotonic() + 20
        while self._beats < goal and not self._end.wait(0.01):
            assert time.monotonic() < deadline, "no answer any more"


@pytest.fixture(scope="module")
def plain() -> Iterator[Target]:
    with running([*EXPORTER, "demo", ANY_PORT]) as process:
        yield Target(process, process.find(r'\burl="?(http://[^/]+)/metrics'))


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    authority = Authority(tmp_path_factory.mktemp("siege"))
    certificate, key = authority.issue("server", "127.0.0.1")
    config = authority.folder / "web.yml"
    config.write_text(f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}")
    with running([*EXPORTER, "demo", f"--web.config.file={config}", ANY_PORT]) as process:
        yield Target(process, process.find(r'\burl="?(https://[^/]+)/metrics'), authority.bundle)


# --- Many that are slow --------------------------------------------------------------------------------


def test_given_heads_that_drip_then_all_others_are_served(plain: Target) -> None:
    with plain.besieged(), ExitStack() as stack:
        slow = [stack.enter_context(Talk.to(plain.site)) for _ in range(CONNECTIONS)]
        for talk in slow:
            talk.send("GET /metrics HTTP/1.1\r\nHost: x\r\n")
        for _ in range(5):
            for talk in slow:
                talk.send("X-Drip: drip\r\n")
            plain.stand(5)


def test_given_bodies_that_drip_then_all_others_are_served(plain: Target) -> None:
    with plain.besieged(), ExitStack() as stack:
        for _ in range(CONNECTIONS):
            talk = stack.enter_context(Talk.to(plain.site))
            talk.send("POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + "a" * 50_000)
        plain.stand(20)


def test_given_handshakes_that_never_come_then_all_others_are_served(encrypted: Target) -> None:
    with encrypted.besieged(), ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(Talk.to(encrypted.site))
        encrypted.stand(20)


def test_given_handshakes_that_stop_in_the_middle_then_all_others_are_served(encrypted: Target) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    with encrypted.besieged(), ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(Talk.to(encrypted.site)).send(hello)
        encrypted.stand(20)


def test_given_clients_that_do_not_read_their_answers_then_all_others_are_served(plain: Target) -> None:
    with plain.besieged(), ExitStack() as stack:
        for _ in range(40):
            talk = stack.enter_context(Talk.to(plain.site))
            talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            talk.send(GET.format("/"))
        plain.stand(20)


# --- One that sends without an end ----------------------------------------------------------------------


def flood(talk: Talk, head: str, piece: bytes) -> int:
    """Send a head and then the same again and again, up to 1 GiB or until it is refused; return how much."""
    talk.send(head)
    sent = 0
    while sent < GIB and talk.send(piece):
        sent += len(piece)
    return sent


POST = "POST /-/reload HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("GET / HTTP/1.1\r\nHost: x\r\nCookie: ", b"a" * MIB),
        ("GET / HTTP/1.1\r\nHost: x\r\n", b"Cookie: a\r\n" * 90_000),
        ("GET /", b"a" * MIB),
        (f"{POST}Content-Length: {GIB}\r\n\r\n", b"a" * MIB),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + b"a" * MIB + b"\r\n"),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n40000000\r\n", b"a" * MIB),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n2;", b"a" * MIB),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: a\r\n" * 70_000),
    ],
    ids=["header", "headers", "path", "length", "chunks", "chunk", "extension", "trailers"],
)
def test_given_a_gibibyte_then_it_is_refused_before_it_has_come(
    plain: Target, head: str, piece: bytes
) -> None:
    with plain.besieged(), Talk.to(plain.site) as talk:
        assert flood(talk, head, piece) < GIB


def test_given_pipelined_garbage_then_it_is_refused(plain: Target) -> None:
    garbage = GET.format("/-/healthy").encode() + os.urandom(16 * 1024) + b"\r\n\r\n"
    with plain.besieged(), ExitStack() as stack:
        talks = [stack.enter_context(Talk.to(plain.site)) for _ in range(CONNECTIONS)]
        for talk in talks:
            talk.send(garbage)
        for talk in talks:
            assert talk.rest().count(b"HTTP/1.1 200 ") <= 1


def test_given_requests_without_an_end_and_nobody_who_reads_then_memory_does_not_grow(plain: Target) -> None:
    with plain.besieged(), ExitStack() as stack:
        for _ in range(20):
            talk = stack.enter_context(Talk.to(plain.site))
            talk.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                flood(talk, "", GET.format("/").encode() * 20_000)
        plain.stand(20)


# --- Scrapes and passwords ------------------------------------------------------------------------------


def test_given_forty_scrapes_of_a_provider_that_hangs_then_health_is_answered(tmp_path: Path) -> None:
    with Simulator() as simulator:
        simulator.faults.set("livepeer", Fault(FaultKind.HANG))
        config = write(tmp_path / "config.yml", livepeer(simulator))
        with serving(config) as exporter, ThreadPoolExecutor(40) as scrapers:
            target = Target(exporter.process, exporter.site)
            with target.besieged():
                scrapes = [scrapers.submit(scrape, exporter.url, "4") for _ in range(40)]
                wait_until(lambda: simulator.requests.to("livepeer"), 10, "Livepeer is asked")
                target.stand(20)
                assert [each for each in scrapes if not each.done()], "they still wait"
            assert {each.result().status for each in scrapes} == {200}


def test_given_many_wrong_passwords_then_who_is_known_is_answered(tmp_path: Path) -> None:
    """Each is looked at for a good while, by purpose."""
    hashed = HASH.replace("$2y$05$", "$2y$12$")
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: {HASH}, bob: {hashed}}}")
    flag = f"--web.config.file={tmp_path / 'web.yml'}"
    with running([*EXPORTER, "demo", flag, ANY_PORT]) as process, ExitStack() as stack:
        site = process.find(r'\burl="?(http://[^/]+)/metrics')

        def status(user: str, password: str, timeout: float) -> int:
            return requests.get(f"{site}/-/healthy", auth=(user, password), timeout=timeout).status_code

        assert status("alice", PASSWORD, 20) == 200
        for number in range(60):
            talk = stack.enter_context(Talk.to(site))
            wrong = requests.models.PreparedRequest()
            wrong.prepare("GET", f"{site}/", auth=("bob", f"wrong{number}"))
            talk.send(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {wrong.headers['Authorization']}\r\n\r\n")

        assert [status("alice", PASSWORD, 1) for _ in range(10)] == [200] * 10
        assert requests.get(f"{site}/-/healthy", timeout=10).status_code == 401
