"""What a scrape costs by the number of tasks: `python benchmarks/scrape.py`.

The exporter is a process of its own, and watches a simulator over real HTTP; half of the tasks are Qencode's,
and all are active. `first` is the scrape that finds them; the others are the median of a few scrapes that
follow, each of which polls (`scrape`) or does not (`render`). `size` is that of the text, uncompressed, and
`memory` the resident set of the process by then.
"""

# ruff: noqa: T201, S603 - it prints a table, about a process of its own

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import requests

from exporter.simulator import Simulator

SIZES = (1_000, 5_000, 10_000, 20_000)
ROUNDS = 5
_TIMEOUT = 120


class Figures(NamedTuple):
    """Of one start: seconds of the first scrape and of the others, and bytes."""

    first: float
    others: float
    size: int
    memory: int


@contextmanager
def serving(config: Path) -> Iterator[tuple[str, int]]:
    """The exporter as a process: the URL of its metrics, and its number."""
    exporter = Path(sys.executable).with_name("transcoding-exporter")
    command = [str(exporter), "serve", "--config.file", str(config)]
    options = ["--web.listen-address=127.0.0.1:0", f"--storage.path={config.parent}/ledger.db"]
    with (config.parent / "log").open("w+") as log:
        process = subprocess.Popen([*command, *options], stderr=log)
        try:
            while not (found := re.search(r"url=(\S+)", (config.parent / "log").read_text())):
                time.sleep(0.05)
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)


def measure(number: int, min_poll_interval: str) -> Figures:
    """Start anew, and scrape."""
    with tempfile.TemporaryDirectory() as folder, Simulator() as simulator:
        tokens = [simulator.qencode.add("encoding", percent=25.0) for _ in range(number // 2)]
        for _ in range(number // 2):
            task = simulator.livepeer.account.add("upload")
            simulator.livepeer.account.schedule(task)
        config = Path(folder) / "config.yml"
        config.write_text(
            json.dumps(
                {
                    "poll": {"min_poll_interval": min_poll_interval, "timeout": "60s"},
                    "qencode": [
                        {
                            "name": "vod",
                            "task_tokens": tokens,
                            "base_url": simulator.qencode_url,
                            "allowed_hosts": ["127.0.0.1"],
                        }
                    ],
                    "livepeer": [
                        {
                            "name": "studio",
                            "base_url": simulator.livepeer_url,
                            "api_key": simulator.livepeer_key,
                        }
                    ],
                }
            )
        )
        with serving(config) as (url, process):
            seconds = [_scrape(url)[0] for _ in range(ROUNDS + 1)]
            size = _scrape(url)[1]
            status = Path(f"/proc/{process}/status").read_text()
            memory = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024
            return Figures(seconds[0], statistics.median(seconds[1:]), size, memory)


def _scrape(url: str) -> tuple[float, int]:
    began = time.perf_counter()
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": str(_TIMEOUT), "Accept-Encoding": "gzip"}
    answer = requests.get(url, headers=headers, timeout=_TIMEOUT)
    answer.raise_for_status()
    return time.perf_counter() - began, len(answer.content)


def main() -> None:
    """Print the table."""
    print(f"{'tasks':>7} {'first':>8} {'scrape':>8} {'render':>8} {'size':>9} {'memory':>8}")
    for number in SIZES:
        polled, rendered = measure(number, "0s"), measure(number, "1h")
        print(
            f"{number:7,} {polled.first:6.2f} s {polled.others:6.2f} s {rendered.others:6.2f} s"
            f" {polled.size / 1e6:6.1f} MB {polled.memory / 1e6:5.0f} MB"
        )


if __name__ == "__main__":
    main()
