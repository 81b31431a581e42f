"""Part f: many scrapers at once, no poll being due: 50 scrapes a second from 8 clients, of 20,000 series.

The clients are a process of their own and come by the clock, whether or not the answer before is there: a
scrape's time counts from when it was due.
"""

import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from benchmarks.figures import Figure, Unit, alone, below
from benchmarks.processes import LIKE_PROMETHEUS, cpu_seconds, livepeer, serving
from benchmarks.provider import Work, providing
from benchmarks.scale import Scale

CLIENTS: Final = 8
RATE: Final = 50.0
"""Scrapes a second, all clients together."""

SERIES: Final = 20_000
SERIES_A_TASK: Final = 9
LIMIT: Final = 0.05


def measure(scale: Scale) -> Iterator[Figure]:
    """Scrape for a while."""
    poll = {"min_poll_interval": "1h"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        provider = stack.enter_context(providing(Work(livepeer_active=SERIES // SERIES_A_TASK)))
        served = stack.enter_context(serving(folder, livepeer(provider.addresses), poll=poll))
        series = sum(1 for line in served.text().splitlines() if line and not line.startswith("#"))
        provider.change(0)
        clients = stack.enter_context(multiprocessing.get_context("spawn").Pool(1))
        cpu = cpu_seconds(served.pid)
        seconds = clients.apply(crowd, (served.url, scale.crowd))
        cpu = cpu_seconds(served.pid) - cpu
        asked = provider.change(0).requests
    if asked:
        raise RuntimeError(f"{asked} requests went to the provider: a poll was due")
    what = f"{RATE:g} scrapes a second from {CLIENTS} clients, {series:,} series"
    centiles = statistics.quantiles(seconds, n=100)
    yield alone("f", f"{what}: p50", Unit.SECONDS, [centiles[49]])
    yield alone("f", f"{what}: p99", Unit.SECONDS, [centiles[98]], below(LIMIT))
    yield alone("f", f"{what}: CPU of a scrape", Unit.SECONDS, [cpu / len(seconds)])


def crowd(url: str, duration: float) -> Sequence[float]:
    """Scrape from all clients; return the seconds of each scrape from when it was due."""
    begin = time.perf_counter() + 0.2
    with ThreadPoolExecutor(CLIENTS) as clients:
        dues = [begin + number / RATE for number in range(CLIENTS)]
        return [
            *chain.from_iterable(clients.map(lambda due: list(_client(url, due, begin + duration)), dues))
        ]


def _client(url: str, due: float, until: float) -> Iterator[float]:
    where = urlsplit(url)
    connection = HTTPConnection(where.netloc, timeout=30)
    while due < until:
        time.sleep(max(0.0, due - time.perf_counter()))
        connection.request("GET", where.path, headers=LIKE_PROMETHEUS)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"answered {answer.status}")
        yield time.perf_counter() - due
        due += CLIENTS / RATE
    connection.close()
