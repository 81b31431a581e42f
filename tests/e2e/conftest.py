"""The demo and a real Prometheus that scrapes it, each a process of its own."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from tests.lacking import FETCH, do_without
from tests.processes import Process, address_of_prometheus, exporting, running

_UNPACKED = Path(__file__).parents[2] / ".tools" / "usr" / "bin"


class Served(NamedTuple):
    """A process that serves, and its URL."""

    process: Process
    url: str


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Finds a program; without it a test is skipped, except in CI."""

    def find(name: str) -> str:
        found = shutil.which(name, path=f"{_UNPACKED}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
        if found is None:
            do_without(name, FETCH)
        return found

    return find


@pytest.fixture(scope="session")
def demo() -> Iterator[Served]:
    """The demo, in which time passes fast enough to see tasks change; the URL is that of its metrics."""
    with exporting("demo", "--speed", "10") as (process, url):
        yield Served(process, url)


@pytest.fixture(scope="session")
def prometheus(
    tool: Callable[[str], str], demo: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A Prometheus server that scrapes the demo every other second."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(
        dedent(f"""\
        global: {{scrape_interval: 2s, scrape_timeout: 2s}}
        scrape_configs:
          - job_name: transcoding
            static_configs: [{{targets: ["{demo.url.split("/")[2]}"]}}]
        """)
    )
    command = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command) as process:
        address = address_of_prometheus(process)
        yield Served(process, f"http://{address}")
