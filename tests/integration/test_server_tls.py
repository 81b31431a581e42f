"""The server's TLS: handshakes that fail, and certificates of clients."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from structlog.testing import capture_logs

from exporter.server.gate import OpenGate
from exporter.server.seats import Limits
from tests.answering import HEALTHY, TlsGate, serving
from tests.pki import Authority
from tests.processes import wait_until
from tests.talking import GET, Talk

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
