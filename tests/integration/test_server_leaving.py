"""The server when it leaves: who waits for an answer gets it, and nobody else is waited for."""

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from exporter.server.gate import OpenGate
from exporter.server.http_server import HttpServer
from tests.answering import serving
from tests.talking import GET, Talk


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
