"""A server behind a guard: who gets in over real connections, also while the files change under it."""

import asyncio
import base64
import http.client
import itertools
import os
import shutil
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from exporter.guard.guard import Guard
from tests.pki import HASH, PASSWORD, Authority
from tests.processes import wait_until

Logs = list[MutableMapping[str, Any]]

ALICE = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
WRONG = "Basic " + base64.b64encode(b"alice:wrong").decode()

# Of the password "", at the lowest cost.
OTHER_HASH = "$2b$04$......................w74bL5gU7LSJClZClCa.Pkz14aTv/XO"
OTHER = "Basic " + base64.b64encode(b"alice:").decode()

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
REQUIRED = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
REFUSED = (ssl.SSLError, ConnectionError)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    version: str | None
    serial: str


class Door:
    """A server that asks the guard about every request, as the exporter's own does."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._end: asyncio.Event

    def __enter__(self) -> "Door":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self.guard.tls) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._end.wait()
        for connection in asyncio.all_tasks() - {asyncio.current_task()}:
            connection.cancel()
            await asyncio.wait([connection])

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                status, headers = await self._judge(head, writer.get_extra_info("ssl_object"))
                lines = [f"HTTP/1.1 {status} X", "Content-Length: 0", *(f"{n}: {v}" for n, v in headers)]
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()

    async def _judge(self, head: str, tls: ssl.SSLObject | None) -> tuple[int, list[tuple[str, str]]]:
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        if not self.guard.admits(tls.getpeercert() if tls else None):
            return 403, []
        refusal = await asyncio.to_thread(self.guard.refusal, fields.get("Authorization"))
        if refusal:
            return refusal.status, [*refusal.headers, *self.guard.headers]
        return 200, list(self.guard.headers)

    def connect(self, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
        """Return what can ask over one connection."""
        if context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)

    def ask(self, context: ssl.SSLContext | None = None, authorization: str = "") -> Answer:
        """Ask over a new connection."""
        connection = self.connect(context)
        try:
            return ask(connection, authorization)
        finally:
            connection.close()


def ask(connection: http.client.HTTPConnection, authorization: str = "") -> Answer:
    connection.request("GET", "/", headers={"Authorization": authorization} if authorization else {})
    tls = connection.sock if isinstance(connection.sock, ssl.SSLSocket) else None
    answer = connection.getresponse()
    answer.read()
    certificate: Any = tls.getpeercert() if tls else {}
    serial = (certificate or {}).get("serialNumber", "")
    return Answer(answer.status, dict(answer.headers), tls.version() if tls else None, serial)


@contextmanager
def behind(path: Path, look_every: float = 0.0) -> Iterator[Door]:
    """A door whose guard looks at the files whenever something comes in."""
    with Door(Guard(path, look_every=look_every)) as door:
        yield door


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.issue("server", "127.0.0.1")
    return authority


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What is logged."""
    with capture_logs() as logs:
        yield logs


def client(authority: Authority, *sans: str, of: Authority | None = None) -> ssl.SSLContext:
    """What a client with a certificate for these names, made out by the CA or by another, connects with."""
    certificate, key = (of or authority).issue("client", *(sans or ("prometheus.example.com",)))
    context = authority.trusted()
    context.load_cert_chain(certificate, key)
    return context


def mistakes(door: Door) -> tuple[str, ...]:
    return door.guard.mistakes


# --- Certificates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_given_a_required_certificate_then_only_clients_of_the_ca_get_in(
    authority: Authority, path: Path, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    path.write_text(REQUIRED)
    known, stranger = client(authority), client(authority, of=Authority(tmp_path / "strangers"))
    nobody = authority.trusted()
    for context in (known, stranger, nobody):
        context.minimum_version = context.maximum_version = version

    with behind(path) as door:
        answer = door.ask(known)
        assert (answer.status, answer.version) == (200, version.name.replace("_", "."))
        for context in (stranger, nobody):
            with pytest.raises(REFUSED):
                door.ask(context)
        assert door.ask(known).status == 200


def test_given_a_ca_below_another_then_it_is_enough_to_trust_it_alone(
    authority: Authority, path: Path, tmp_path: Path
) -> None:
    path.write_text(REQUIRED)
    below = Authority(tmp_path / "below", authority.ca.create_child_ca())
    shutil.copy(below.bundle, authority.bundle)
    trusting = Authority(tmp_path / "root", authority.ca)

    with behind(path) as door:
        assert door.ask(client(trusting, of=below)).status == 200
        with pytest.raises(REFUSED):
            door.ask(client(trusting))


@pytest.mark.parametrize("san", ["prometheus.example.com", "192.0.2.1", "2001:db8::1", "p@example.com"])
def test_given_allowed_names_then_a_client_must_bear_one(authority: Authority, path: Path, san: str) -> None:
    path.write_text(REQUIRED + f'  client_allowed_sans: [x.example.com, "{san}"]\n')

    with behind(path) as door:
        assert door.ask(client(authority, "y.example.com", san)).status == 200
        assert door.ask(client(authority, "y.example.com", "192.0.2.10")).status == 403


def test_a_connection_that_is_resumed_still_bears_its_certificate(authority: Authority, path: Path) -> None:
    path.write_text(REQUIRED + "  client_allowed_sans: [prometheus.example.com]\n")
    context = client(authority)

    with behind(path) as door:
        first = door.connect(context)
        assert ask(first).status == 200
        assert isinstance(first.sock, ssl.SSLSocket)
        session = first.sock.session
        assert session
        again = door.connect(context)
        again.sock = context.wrap_socket(
            socket.create_connection(("127.0.0.1", door.port), timeout=20),
            server_hostname="127.0.0.1",
            session=session,
        )

        assert ask(again).status == 200
        assert isinstance(again.sock, ssl.SSLSocket)
        assert again.sock.session_reused
        first.close()
        again.close()


def test_a_certificate_that_is_only_verified_if_given_can_be_missing(
    authority: Authority, path: Path, tmp_path: Path
) -> None:
    path.write_text(TLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n")

    with behind(path) as door:
        assert door.ask(authority.trusted()).status == 200
        assert door.ask(client(authority)).status == 200
        with pytest.raises(REFUSED):
            door.ask(client(authority, of=Authority(tmp_path / "strangers")))


def test_a_certificate_that_is_only_requested_is_not_looked_at(
    authority: Authority, path: Path, tmp_path: Path
) -> None:
    path.write_text(TLS + "  client_auth_type: RequestClientCert\n")

    with behind(path) as door:
        assert door.ask(authority.trusted()).status == 200
        assert door.ask(client(authority, of=Authority(tmp_path / "strangers"))).status == 200


@pytest.mark.skipif(not ssl.HAS_TLSv1_1, reason="this OpenSSL is built without TLS 1.1")
@pytest.mark.parametrize(("limits", "welcome"), [("", False), ("  min_version: TLS10\n", True)])
def test_an_old_version_is_spoken_only_if_it_is_asked_for(
    authority: Authority, path: Path, limits: str, welcome: bool
) -> None:
    path.write_text(TLS + limits)
    old = authority.trusted()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    with behind(path) as door:
        if welcome:
            assert door.ask(old).version == "TLSv1.1"
        else:
            with pytest.raises(REFUSED):
                door.ask(old)
        assert door.ask(authority.trusted()).version == "TLSv1.3"


def test_a_new_version_is_not_spoken_if_it_is_not_wanted(authority: Authority, path: Path) -> None:
    path.write_text(TLS + "  max_version: TLS12\n")

    with behind(path) as door:
        assert door.ask(authority.trusted()).version == "TLSv1.2"


def test_a_client_that_speaks_other_protocols_too_is_told_which_one_is_spoken(
    authority: Authority, path: Path
) -> None:
    path.write_text(TLS)
    context = authority.trusted()
    context.set_alpn_protocols(["h2", "http/1.1"])

    with behind(path) as door:
        connection = door.connect(context)
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.selected_alpn_protocol() == "http/1.1"
        connection.close()


@pytest.mark.parametrize("curve", ["prime256v1", "secp521r1"])
def test_only_the_curve_that_is_preferred_is_taken(authority: Authority, path: Path, curve: str) -> None:
    path.write_text(TLS + "  curve_preferences: [CurveP521]\n")
    context = authority.trusted()
    context.set_ecdh_curve(curve)

    with behind(path) as door:
        if curve == "secp521r1":
            assert door.ask(context).status == 200
        else:
            with pytest.raises(REFUSED):
                door.ask(context)


# --- Passwords and headers -------------------------------------------------------------------------------


def test_given_users_then_only_they_get_in_and_every_answer_has_the_headers(
    authority: Authority, path: Path
) -> None:
    headers = (
        "http_server_config: {headers: {Strict-Transport-Security: max-age=60, X-Frame-Options: deny}}\n"
    )
    path.write_text(TLS + headers + f"basic_auth_users: {{alice: {HASH}}}\n")

    with behind(path) as door:
        answers = [door.ask(authority.trusted(), header) for header in ("", WRONG, ALICE)]

    assert [answer.status for answer in answers] == [401, 401, 200]
    for answer in answers:
        assert answer.headers["Strict-Transport-Security"] == "max-age=60"
        assert answer.headers["X-Frame-Options"] == "deny"
    assert answers[0].headers["WWW-Authenticate"].startswith('Basic realm="')


def test_given_another_password_on_disk_then_it_counts_at_once_and_the_old_one_no_more(path: Path) -> None:
    path.write_text(f"basic_auth_users: {{alice: {HASH}}}\n")

    with behind(path) as door:
        connection = door.connect(None)
        assert ask(connection, ALICE).status == 200
        path.write_text(f"basic_auth_users: {{alice: {OTHER_HASH}}}\n")

        assert ask(connection, ALICE).status == 401
        assert ask(connection, OTHER).status == 200
        connection.close()


def test_given_a_second_user_then_the_first_still_gets_in(path: Path) -> None:
    path.write_text(f"basic_auth_users: {{alice: {HASH}}}\n")

    with behind(path) as door:
        path.write_text(f"basic_auth_users: {{alice: {HASH}, bob: {OTHER_HASH}}}\n")

        assert door.ask(None, ALICE).status == 200


def test_what_is_limited_stays_so_when_something_else_changes(path: Path) -> None:
    limit = "rate_limit: {interval: 1h, burst: 2}\n"
    path.write_text(limit)

    with behind(path) as door:
        statuses = [door.ask().status]
        path.write_text(limit + "http_server_config: {headers: {X-Frame-Options: deny}}\n")
        statuses += [door.ask().status, door.ask().status]

    assert statuses == [200, 200, 429]


def test_between_two_looks_the_disk_is_left_alone(path: Path) -> None:
    path.write_text(f"basic_auth_users: {{alice: {HASH}}}\n")

    with behind(path, look_every=3600) as door:
        path.write_text("{}")

        assert door.ask().status == 401


# --- Files that change -----------------------------------------------------------------------------------


def serial(authority: Authority, door: Door) -> str:
    return door.ask(authority.trusted()).serial


@contextmanager
def load(door: Door, context: ssl.SSLContext) -> Iterator[list[int]]:
    """Scrapes over one new connection after the other, four at once; the statuses so far."""
    statuses: list[int] = []
    end = threading.Event()

    def scrape() -> None:
        while not end.is_set():
            statuses.append(door.ask(context).status)

    with ThreadPoolExecutor(4) as pool:
        scrapers = [pool.submit(scrape) for _ in range(4)]
        try:
            yield statuses
        finally:
            end.set()
    for scraper in scrapers:
        scraper.result()


def test_given_certificates_that_rotate_under_load_then_no_scrape_fails(
    authority: Authority, path: Path, logs: Logs
) -> None:
    path.write_text(REQUIRED)
    context = client(authority)
    with behind(path) as door:
        seen = {door.ask(context).serial}
        with load(door, context) as statuses:
            for _ in range(6):
                # For a while, the certificate and the key do not match.
                for file in authority.issue("next", "127.0.0.1"):
                    shutil.copy(file, authority.folder / f"server{file.suffix}")
                    before = len(statuses)
                    wait_until(lambda: len(statuses) > before + 8, 20, "further scrapes")  # noqa: B023
                seen.add(door.ask(context).serial)

    assert len(seen) == 7
    assert set(statuses) == {200}
    assert mistakes(door) == ()
    told = [line["mistake"] for line in logs if line["log_level"] == "error"]
    assert len(told) >= 6
    assert not [mistake for mistake in told if "tls_server_config" not in mistake]


def test_given_kubernetes_folders_when_their_link_is_swapped_then_the_new_files_count(
    tmp_path: Path, authority: Authority
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    numbers = itertools.count()

    def mount(text: str) -> None:
        folder = volume / f"..{next(numbers)}"
        folder.mkdir()
        for file in authority.issue("server", "127.0.0.1"):
            shutil.copy(file, folder)
        (folder / "web.yml").write_text(text)
        (volume / "..new").symlink_to(folder.name)
        (volume / "..new").rename(volume / "..data")

    mount(TLS)
    for name in ("web.yml", "server.crt", "server.key"):
        (volume / name).symlink_to(f"..data/{name}")

    with behind(volume / "web.yml") as door:
        first = serial(authority, door)
        mount(TLS + "http_server_config: {headers: {X-Frame-Options: deny}}\n")
        second = door.ask(authority.trusted())

    assert second.serial != first
    assert second.headers["X-Frame-Options"] == "deny"


def test_given_a_link_that_is_swapped_to_a_mistake_and_back_then_nothing_is_amiss(path: Path) -> None:
    good, bad = path.with_name("good.yml"), path.with_name("bad.yml")
    good.write_text(f"basic_auth_users: {{alice: {HASH}}}\n")
    bad.write_text("nonsense: 1")
    path.symlink_to(good)

    with behind(path) as door:
        for target, amiss in ((bad, 1), (good, 0)):
            path.unlink()
            path.symlink_to(target)
            assert door.ask(None, ALICE).status == 200
            assert len(mistakes(door)) == amiss


def test_a_file_with_the_size_and_the_time_of_the_one_before_is_another_one(path: Path) -> None:
    path.write_text("http_server_config: {headers: {X-Frame-Options: deny, X-XSS-Protection: 1234567}}\n")
    with behind(path) as door:
        assert door.ask().headers["X-XSS-Protection"] == "1234567"
        before = path.stat()
        path.write_text(path.read_text().replace("1234567", "7654321"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

        assert door.ask().headers["X-XSS-Protection"] == "7654321"


def test_given_another_ca_then_clients_of_the_one_before_are_refused(
    authority: Authority, path: Path, tmp_path: Path
) -> None:
    path.write_text(REQUIRED)
    other = Authority(tmp_path / "other")
    old, new = client(authority), client(authority, of=other)

    with behind(path) as door:
        assert door.ask(old).status == 200
        shutil.copy(other.bundle, authority.bundle)

        assert door.ask(new).status == 200
        with pytest.raises(REFUSED):
            door.ask(old)


def test_given_another_list_of_names_then_a_connection_that_stands_is_judged_by_it(
    authority: Authority, path: Path
) -> None:
    path.write_text(REQUIRED + "  client_allowed_sans: [prometheus.example.com]\n")

    with behind(path) as door:
        connection = door.connect(client(authority))
        assert ask(connection).status == 200
        path.write_text(REQUIRED + "  client_allowed_sans: [grafana.example.com]\n")

        assert ask(connection).status == 403
        connection.close()


# --- Changes with a mistake ------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["basic_auth_users: {alice: secret}", "", "nonsense: 1", None])
def test_given_a_mistake_in_the_file_then_the_last_good_one_stays_and_it_is_told_once(
    path: Path, logs: Logs, broken: str | None
) -> None:
    good = f"basic_auth_users: {{alice: {HASH}}}\n"
    path.write_text(good)
    with behind(path) as door:
        if broken is None:
            path.unlink()
        else:
            path.write_text(broken)

        for _ in range(3):
            assert (door.ask(None, ALICE).status, door.ask().status) == (200, 401)
        assert len(mistakes(door)) == 1
        assert [line["log_level"] for line in logs] == ["error"]
        assert str(path) in logs[0]["mistake"]
        assert "secret" not in str(logs)

        path.write_text("{}")
        assert door.ask().status == 200
        assert mistakes(door) == ()
        assert [line["event"] for line in logs[1:]] == ["web configuration reloaded"]


def test_given_a_certificate_whose_key_is_not_there_yet_then_the_pair_before_is_used_until_it_comes(
    authority: Authority, path: Path, logs: Logs
) -> None:
    path.write_text(TLS)
    with behind(path) as door:
        before = serial(authority, door)
        key = authority.folder / "server.key"
        old_key = key.read_text()
        authority.issue("server", "127.0.0.1")
        new_key = key.read_text()

        key.write_text(old_key)
        assert serial(authority, door) == before
        assert serial(authority, door) == before
        assert "web.yml:3: tls_server_config.key_file: does not belong" in mistakes(door)[0]
        assert len([line for line in logs if line["log_level"] == "error"]) == 1

        key.write_text(new_key)
        assert serial(authority, door) != before
        assert mistakes(door) == ()


def test_after_each_reading_it_tells_whether_what_is_on_disk_is_in_force(
    authority: Authority, path: Path
) -> None:
    told: list[bool] = []
    path.write_text(TLS)
    with Door(Guard(path, tell=told.append, look_every=0.0)) as door:
        assert told == [True]
        key = authority.folder / "server.key"
        good = key.read_text()

        key.write_text("no key")
        door.ask(authority.trusted())
        assert told[-1:] == [False]
        key.write_text(good)
        door.ask(authority.trusted())
        assert told[-1:] == [True]
        path.write_text("{}")
        door.ask(authority.trusted())
        assert told[-1:] == [False]


def test_given_no_file_then_nothing_in_it_is_wrong() -> None:
    told: list[bool] = []
    Guard(None, tell=told.append)

    assert told == [True]


@pytest.mark.parametrize(("first", "then", "verb"), [(TLS, "{}", "removed"), ("{}", TLS, "added")])
def test_given_tls_that_comes_or_goes_then_it_says_that_a_restart_is_needed_and_serves_as_before(
    authority: Authority, path: Path, logs: Logs, first: str, then: str, verb: str
) -> None:
    path.write_text(first)
    context = authority.trusted() if first == TLS else None

    with behind(path) as door:
        path.write_text(then)

        for _ in range(3):
            assert door.ask(context).status == 200
        assert mistakes(door) == (f"{path}: tls_server_config was {verb}; restart the exporter",)
        assert [line["log_level"] for line in logs] == ["warning"]
        path.write_text(first)
        assert door.ask(context).status == 200
        assert mistakes(door) == ()
