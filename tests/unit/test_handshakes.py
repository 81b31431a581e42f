"""Failed TLS handshakes are told, and whoever makes many of them can't fill the log."""

import asyncio
import ssl
from collections.abc import Sized

from structlog.testing import capture_logs

from exporter.server.handshakes import Handshakes

SILENT = ssl.SSLError(1, "[SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE] peer did not return a certificate")
SILENT.reason = "PEER_DID_NOT_RETURN_A_CERTIFICATE"
CURIOUS = ssl.SSLError(1, "[SSL: HTTP_REQUEST] http request")
CURIOUS.reason = "HTTP_REQUEST"


async def told(logs: Sized, number: int) -> None:
    """Wait for so many lines."""
    async with asyncio.timeout(20):
        while len(logs) < number:
            await asyncio.sleep(0.01)


def test_the_first_failure_is_told_at_once_with_the_client_and_the_reason() -> None:
    async def scene() -> None:
        Handshakes(asyncio.get_running_loop()).failed("192.0.2.1:4711", SILENT)

    with capture_logs() as logs:
        asyncio.run(scene())

    assert logs == [
        {
            "event": "TLS handshake failed",
            "log_level": "info",
            "client": "192.0.2.1:4711",
            "reason": "peer did not return a certificate",
            "number": 1,
        }
    ]


def test_given_many_failures_in_a_moment_then_one_more_line_tells_their_number_and_the_last_of_them() -> None:
    async def scene() -> None:
        handshakes = Handshakes(asyncio.get_running_loop(), pause=0.05)
        for port in range(99):
            handshakes.failed(f"192.0.2.1:{port}", SILENT)
        handshakes.failed("192.0.2.2:4711", CURIOUS)
        assert len(logs) == 1
        await told(logs, 2)

    with capture_logs() as logs:
        asyncio.run(scene())

    assert [(line["client"], line["reason"], line["number"]) for line in logs] == [
        ("192.0.2.1:0", "peer did not return a certificate", 1),
        ("192.0.2.2:4711", "http request", 99),
    ]


def test_given_a_pause_without_a_failure_then_the_next_one_is_told_at_once_again() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        handshakes = Handshakes(loop, pause=0.05)
        handshakes.failed("192.0.2.1:1", SILENT)
        # What is called later than the pause comes after its end.
        quiet = asyncio.Event()
        loop.call_later(0.1, quiet.set)
        await quiet.wait()
        handshakes.failed("192.0.2.1:2", SILENT)
        assert [line["client"] for line in logs] == ["192.0.2.1:1", "192.0.2.1:2"]

    with capture_logs() as logs:
        asyncio.run(scene())
