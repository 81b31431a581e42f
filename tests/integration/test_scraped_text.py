"""What scrapers read of odd texts: curl, promtool and Prometheus, packed or not, with isal and without."""

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture
from exporter.model import Account, Observation, Provider, State, Task
from exporter.server.http_server import create_server
from exporter.tracking.knowledge import Exemplar, Snapshot
from exporter.tracking.tally import Count, Tally
from exporter.web.app import Site, create_app
from tests.answering import ANYWHERE
from tests.e2e import conftest
from tests.idle import Idle
from tests.processes import address_of_prometheus, running, wait_until
from tests.wire import Wire, http

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
        address = address_of_prometheus(prometheus)

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
