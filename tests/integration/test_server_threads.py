"""The server's threads: if none is free, health is answered and all else waits."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests

from exporter.server.bridge import THREADS
from exporter.server.http_server import HttpServer
from tests.answering import serving
from tests.talking import GET, Talk


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
