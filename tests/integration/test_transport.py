"""Whatever a server does, a request ends in time, as an answer or as one error of the right reason."""

import gzip
import socket
import ssl
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from exporter import __version__
from exporter.model import Account, Endpoint, ErrorReason, Provider
from exporter.providers.service import ApiError
from exporter.providers.transport import Transport
from exporter.simulator import Fault, FaultKind, SimulatedClock, Simulator
from tests.support import START, DrivenClock
from tests.wire import CLOSE, RESET, Asked, Step, Wire, http

KEY = "not-a-key-123"
ACCOUNT = Account(Provider.LIVEPEER, "studio")
TIMEOUT = 0.5
LIST = Endpoint.LIVEPEER_LIST


class Counted:
    """What a transport tells about its requests."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.reasons: list[str] = []

    def requested(self, account: Account, endpoint: Endpoint, code: str, seconds: float) -> None:
        assert (account, endpoint) == (ACCOUNT, LIST)
        assert seconds >= 0
        self.codes.append(code)

    def failed(self, account: Account, endpoint: Endpoint, reason: ErrorReason) -> None:
        assert (account, endpoint) == (ACCOUNT, LIST)
        self.reasons.append(reason)

    def unknown_tokens(self, account: Account, tokens: Collection[str]) -> None:
        raise AssertionError("Livepeer has none")


@pytest.fixture
def simulated() -> SimulatedClock:
    return SimulatedClock(start=START, speed=0.0)


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def transport(simulated: SimulatedClock, counted: Counted) -> Iterator[Transport]:
    transport = Transport(
        ACCOUNT,
        timeout=TIMEOUT,
        concurrency=2,
        clock=DrivenClock(simulated),
        telemetry=counted,
        api_key=KEY,
    )
    yield transport
    transport.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(lambda _: http(200, b"[]")) as wire:
        yield wire


def refused(transport: Transport, url: str) -> ApiError:
    with pytest.raises(ApiError) as raised:
        transport.get(LIST, f"{url}/task")
    assert KEY not in str(raised.value)
    return raised.value


# --- What is sent ------------------------------------------------------------------------------------


def test_given_a_key_when_asked_then_it_is_sent_with_our_name_and_without_cookies(
    transport: Transport, wire: Wire
) -> None:
    wire.answering = lambda _: http(200, b"[]", "Set-Cookie: track=me; Path=/")

    for _ in range(2):
        transport.get(LIST, f"{wire.url}/task", {"limit": "1000"})

    assert [asked.target for asked in wire.asked] == ["/task?limit=1000"] * 2
    for asked in wire.asked:
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert asked.headers["user-agent"] == f"transcoding-exporter/{__version__}"
        assert asked.headers["accept-encoding"] == "gzip"
        assert "cookie" not in asked.headers
        assert "origin" not in asked.headers


@pytest.mark.parametrize("key", [KEY, ""])
def test_given_a_netrc_when_asked_then_its_password_is_not_sent(
    simulated: SimulatedClock,
    counted: Counted,
    wire: Wire,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    transport = Transport(
        ACCOUNT,
        timeout=TIMEOUT,
        concurrency=1,
        clock=DrivenClock(simulated),
        telemetry=counted,
        api_key=key,
    )

    transport.get(LIST, f"{wire.url}/task")
    transport.close()

    assert wire.asked[0].headers.get("authorization") == (f"Bearer {key}" if key else None)


def test_given_many_requests_when_asked_then_one_connection_serves_them_all(
    transport: Transport, wire: Wire, counted: Counted
) -> None:
    for _ in range(20):
        transport.get(LIST, f"{wire.url}/task")

    assert (wire.connections, len(wire.asked)) == (1, 20)
    assert counted.codes == ["200"] * 20
    assert counted.reasons == []


def test_given_a_connection_that_the_server_closed_when_idle_then_the_next_request_takes_a_new_one(
    transport: Transport, wire: Wire, counted: Counted
) -> None:
    wire.answering = lambda _: [http(200, b"[]"), CLOSE]

    for _ in range(3):
        transport.get(LIST, f"{wire.url}/task")
        assert wire.ended.acquire(timeout=5)

    assert wire.connections == 3
    assert counted.reasons == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_given_a_redirect_when_asked_then_nobody_is_asked_again(
    transport: Transport, wire: Wire, counted: Counted, status: int
) -> None:
    with Wire(lambda _: http(200, b"[]")) as elsewhere:
        for location in (f"{elsewhere.url}/task", f"{wire.url}/elsewhere"):
            wire.answering = lambda _, location=location: http(status, b"moved", f"Location: {location}")  # type: ignore[misc]
            error = refused(transport, wire.url)

            assert (error.reason, error.status) == (ErrorReason.INVALID_RESPONSE, status)
            assert "redirects are not followed" in str(error)
        assert elsewhere.connections == 0
    assert [asked.path for asked in wire.asked] == ["/task", "/task"]
    assert counted.reasons == ["invalid_response"] * 2


@pytest.mark.parametrize("location", ["http://[", "//", "http://:x/", "\x00", "file:///etc/passwd", ""])
def test_given_a_redirect_to_nonsense_when_asked_then_it_is_an_error_like_any_other(
    transport: Transport, wire: Wire, location: str
) -> None:
    wire.answering = lambda _: http(302, b"", f"Location: {location}")

    assert refused(transport, wire.url).reason is ErrorReason.INVALID_RESPONSE


# --- In time -----------------------------------------------------------------------------------------


def _drip(text: bytes, pause: float) -> Iterator[Step]:
    for byte in text:
        yield bytes((byte,))
        yield pause


ENDLESS = b"x" * 1000
GZIP_WITH_AN_ENDLESS_NAME = b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03" + ENDLESS


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([3600.0], id="nothing"),
        pytest.param([*_drip(b"HTTP/1.1 200 OK\r\nX-Long: " + ENDLESS, 0.05)], id="head-drips"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", 0.05] * 1000, id="says-continue-for-ever"),
        pytest.param([http(200, b"[]")[:-2], 3600.0], id="no-body"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *_drip(ENDLESS, 0.05)], id="drips"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\n", *_drip(ENDLESS, 0.05)], id="drips-without-a-length"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\n[\r\n", 0.05] * 1000],
            id="drips-in-chunks",
        ),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", *_drip(GZIP_WITH_AN_ENDLESS_NAME, 0.05)],
            id="drips-what-decompresses-to-nothing",
        ),
        pytest.param(
            # Each wait is shorter than the time-out; only all of them are longer.
            [b"HTTP/1.1 200 OK\r\n", 0.4, b"\r\n", 0.4, b"[", 0.4, b"]", CLOSE],
            id="late-in-each-part",
        ),
    ],
)
def test_given_a_slow_server_when_asked_then_it_ends_within_the_timeout(
    transport: Transport, wire: Wire, counted: Counted, answer: list[Step]
) -> None:
    wire.answering = lambda _: answer
    started = time.monotonic()

    error = refused(transport, wire.url)

    assert time.monotonic() - started < TIMEOUT + 0.4
    assert error.reason is ErrorReason.TIMEOUT
    assert counted.reasons == ["timeout"]
    assert len(wire.asked) == 1


def test_given_a_server_that_takes_no_connection_when_asked_then_it_ends_within_the_timeout(
    transport: Transport, counted: Counted
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        # What waits in the queue is never accepted, and what comes behind is not even let in.
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        started = time.monotonic()
        error = refused(transport, f"http://127.0.0.1:{address[1]}")
        for each in waiting:
            each.close()

    assert time.monotonic() - started < TIMEOUT + 0.4
    assert error.reason is ErrorReason.TIMEOUT
    assert counted.reasons == ["timeout"]


def test_given_a_timeout_of_the_last_request_when_asked_again_then_all_is_well(
    transport: Transport, wire: Wire
) -> None:
    wire.answering = lambda _: [3600.0]
    refused(transport, wire.url)
    wire.answering = lambda _: http(200, b"[]")

    assert transport.get(LIST, f"{wire.url}/task").body == b"[]"


# --- Broken ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([RESET], id="reset"),
        pytest.param([CLOSE], id="closed"),
        pytest.param([http(200, b"[1,2,3]")[:-3], CLOSE], id="cut-short"),
        pytest.param([http(200, b"[1,2,3]")[:-3], RESET], id="reset-in-the-body"),
        pytest.param([b"SSH-2.0-OpenSSH_9.2\r\n", CLOSE], id="another-protocol"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n", CLOSE], id="chunks"
        ),
    ],
)
def test_given_a_broken_connection_when_asked_then_it_is_asked_once_more(
    transport: Transport, wire: Wire, counted: Counted, answer: list[Step]
) -> None:
    wire.answering = lambda _: answer

    assert refused(transport, wire.url).reason is ErrorReason.CONNECTION
    assert len(wire.asked) == 2
    assert counted.reasons == ["connection"] * 2


def test_given_a_connection_that_breaks_once_when_asked_then_the_answer_comes(
    transport: Transport, wire: Wire, counted: Counted
) -> None:
    answers: Iterator[Iterable[Step]] = iter([[RESET], [http(200, b"[]")]])
    wire.answering = lambda _: next(answers)

    assert transport.get(LIST, f"{wire.url}/task").body == b"[]"
    assert counted.codes == ["none", "200"]
    assert counted.reasons == ["connection"]


def test_given_nobody_who_listens_when_asked_then_the_error_says_where(
    transport: Transport, counted: Counted
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    error = refused(transport, f"http://127.0.0.1:{port}")

    assert error.reason is ErrorReason.CONNECTION
    assert str(error) == f"127.0.0.1:{port}/task: [Errno 111] Connection refused"
    assert counted.codes == ["none", "none"]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_given_a_gateway_in_trouble_when_asked_then_it_is_asked_once_more(
    transport: Transport, wire: Wire, counted: Counted, status: int
) -> None:
    wire.answering = lambda _: http(status, b"<html>\r\n<h1>Bad   Gateway</h1></html>")

    error = refused(transport, wire.url)

    assert (error.reason, error.status) == (ErrorReason.SERVER, status)
    assert str(error).endswith(f"HTTP {status} <html> <h1>Bad Gateway</h1></html>")
    assert counted.codes == [str(status)] * 2
    assert counted.reasons == ["server"] * 2


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, ErrorReason.CLIENT),
        (401, ErrorReason.AUTH),
        (403, ErrorReason.AUTH),
        (404, ErrorReason.CLIENT),
        (500, ErrorReason.SERVER),
        (304, ErrorReason.INVALID_RESPONSE),
    ],
)
def test_given_a_refusal_when_asked_then_it_is_not_asked_again(
    transport: Transport, wire: Wire, counted: Counted, status: int, reason: ErrorReason
) -> None:
    wire.answering = lambda _: http(status)

    error = refused(transport, wire.url)

    assert (error.reason, error.status, len(wire.asked)) == (reason, status, 1)
    assert counted.reasons == [reason]


def test_given_a_status_that_is_accepted_when_asked_then_it_is_an_answer(
    transport: Transport, wire: Wire, counted: Counted
) -> None:
    wire.answering = lambda _: http(404, b'{"errors":["not found"]}')

    assert transport.get(LIST, f"{wire.url}/task/1", accept=404).status == 404
    assert (counted.codes, counted.reasons) == (["404"], [])


@pytest.mark.parametrize("blanks", [0, 150, 300, 785, 5000])
def test_given_an_error_that_echoes_the_key_when_told_then_not_even_a_part_of_it_is_in_it(
    transport: Transport, wire: Wire, blanks: int
) -> None:
    body = b" " * blanks + b"e" * (190 if blanks < 200 else 0) + b" no token " + KEY.encode() + b" found"
    wire.answering = lambda _: http(401, body)

    assert "not-a" not in str(refused(transport, wire.url))


# --- Too much ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 302, 500])
def test_given_an_answer_without_end_when_asked_then_it_is_cut_off(
    simulated: SimulatedClock, counted: Counted, wire: Wire, status: int
) -> None:
    head = f"HTTP/1.1 {status} OK\r\nLocation: /\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    sent = 0

    def answering(_: Asked) -> Iterator[Step]:
        nonlocal sent
        yield head
        while True:
            yield chunk
            sent += 1

    wire.answering = answering
    # Long, so that it is the size that ends it.
    transport = Transport(
        ACCOUNT, timeout=30, concurrency=1, clock=DrivenClock(simulated), telemetry=counted, api_key=KEY
    )

    assert refused(transport, wire.url).reason is ErrorReason.TOO_LARGE
    transport.close()
    assert counted.reasons == ["too_large"]
    assert sent < 60


def test_given_a_bomb_behind_gzip_when_asked_then_it_is_cut_off(
    simulated: SimulatedClock, counted: Counted
) -> None:
    transport = Transport(
        ACCOUNT, timeout=30, concurrency=1, clock=DrivenClock(simulated), telemetry=counted, api_key=KEY
    )
    with Simulator() as simulator:
        simulator.faults.set("livepeer_list", Fault(FaultKind.GZIP_BOMB))
        simulator.livepeer.new_account("somebody", KEY)
        assert refused(transport, simulator.livepeer_url).reason is ErrorReason.TOO_LARGE
    transport.close()
    assert counted.reasons == ["too_large"]


def test_given_an_answer_in_gzip_when_asked_then_it_is_decompressed(transport: Transport, wire: Wire) -> None:
    body = b"[" + b" " * 100_000 + b"]"
    wire.answering = lambda _: http(200, gzip.compress(body), "Content-Encoding: gzip")

    assert transport.get(LIST, f"{wire.url}/task").body == body


def test_given_gzip_that_is_none_when_asked_then_the_answer_is_invalid(
    transport: Transport, wire: Wire, counted: Counted
) -> None:
    wire.answering = lambda _: http(200, b"[]", "Content-Encoding: gzip")

    assert refused(transport, wire.url).reason is ErrorReason.INVALID_RESPONSE
    assert counted.reasons == ["invalid_response"]


# --- TLS ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, with its key, that nobody has signed."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=livepeer", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", "key.pem", "-out", "certificate.pem"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(
        ["openssl", "req", "-x509", *curve, "-nodes", "-days", "36500", *subject, *files],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "certificate.pem").read_bytes())
    return both


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[Wire]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Wire(lambda _: http(200, b"[]"), context) as wire:
        yield wire


def test_given_a_certificate_that_nobody_signed_when_asked_then_nothing_is_sent(
    transport: Transport, encrypted: Wire, counted: Counted
) -> None:
    error = refused(transport, encrypted.url)

    assert error.reason is ErrorReason.TLS
    assert "certificate verify failed" in str(error)
    assert encrypted.asked == []
    assert counted.reasons == ["tls"]


def test_given_a_certificate_of_a_private_authority_when_it_is_named_in_the_environment_then_all_is_well(
    transport: Transport, encrypted: Wire, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    for _ in range(2):
        assert transport.get(LIST, f"{encrypted.url}/task").body == b"[]"
    assert encrypted.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([3600.0], id="nothing"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\n", *_drip(ENDLESS, 0.05)], id="drips"),
    ],
)
def test_given_a_slow_server_behind_tls_when_asked_then_it_ends_within_the_timeout(
    transport: Transport,
    encrypted: Wire,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: list[Step],
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    encrypted.answering = lambda _: answer
    started = time.monotonic()

    assert refused(transport, encrypted.url).reason is ErrorReason.TIMEOUT
    assert time.monotonic() - started < TIMEOUT + 0.4


@pytest.mark.parametrize("pause", [0.05, 3600.0])
def test_given_a_handshake_that_drips_when_asked_then_it_ends_within_the_timeout(
    transport: Transport, counted: Counted, pause: float
) -> None:
    # The head of a TLS record of 16 KiB, of which a byte comes now and then.
    drip = [*_drip(b"\x16\x03\x03\x40\x00" + ENDLESS, pause)]
    with Wire(lambda _: http(200)) as plain:
        # The client's greeting ends in no line: it is answered as soon as it is there.
        plain.greeting = drip
        started = time.monotonic()
        error = refused(transport, plain.url.replace("http:", "https:"))

    assert time.monotonic() - started < TIMEOUT + 0.4
    assert error.reason is ErrorReason.TIMEOUT
    assert counted.reasons == ["timeout"]


def test_given_plain_http_where_tls_should_be_when_asked_then_the_reason_is_tls(
    transport: Transport, counted: Counted
) -> None:
    with Wire(lambda _: http(200)) as plain:
        plain.greeting = [b"HTTP/1.1 400 Bad Request\r\n\r\n", CLOSE]
        error = refused(transport, plain.url.replace("http:", "https:"))

    assert error.reason is ErrorReason.TLS
    assert counted.reasons == ["tls"]


# --- Rate limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        pytest.param([], 30, id="silent"),
        pytest.param(["Retry-After: 7"], 7, id="seconds"),
        pytest.param([f"Retry-After: {formatdate(START + 90, usegmt=True)}"], 90, id="date"),
        pytest.param([f"Retry-After: {formatdate(START - 90, usegmt=True)}"], 1, id="past"),
        pytest.param(["Retry-After: 0"], 1, id="at-once"),
        pytest.param(["Retry-After: 86400"], 3600, id="a-day"),
        pytest.param(["Retry-After: " + "9" * 400], 3600, id="for-ever"),
        pytest.param(["Retry-After: soon"], 30, id="words"),
        pytest.param(["Retry-After: -5"], 30, id="negative"),
        pytest.param(["Retry-After: Mon, 01 Jan 2026 00:00:00 +" + "9" * 30], 30, id="nonsense"),
    ],
)
def test_given_too_many_requests_when_asked_then_none_is_sent_until_the_pause_is_over(
    transport: Transport,
    wire: Wire,
    counted: Counted,
    simulated: SimulatedClock,
    headers: list[str],
    pause: float,
) -> None:
    wire.answering = lambda _: http(429, b"slow down", *headers)
    assert refused(transport, wire.url).reason is ErrorReason.RATE_LIMITED
    wire.answering = lambda _: http(200, b"[]")

    simulated.advance(pause - 0.5)
    assert transport.pause == 0.5
    error = refused(transport, wire.url)
    assert "not asked" in str(error)
    assert len(wire.asked) == 1

    simulated.advance(0.5)
    assert transport.get(LIST, f"{wire.url}/task").body == b"[]"
    assert counted.codes == ["429", "200"]
    assert counted.reasons == ["rate_limited"]
