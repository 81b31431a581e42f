"""Exporters as processes: started, waited for, measured, and each ended by its own number."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import requests

from benchmarks.provider import Addresses

EXPORTER: Final = str(Path(sys.executable).with_name("transcoding-exporter"))
"""The installed console script."""

LIKE_PROMETHEUS: Final = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "120",
}
_TIMEOUT: Final = 120
_TO_LISTEN: Final = 30.0


class Seconds(NamedTuple):
    """Of one scrape, in seconds; the CPU is that of the exporter."""

    wall: float
    cpu: float


class Served:
    """A running exporter, and one client that keeps its connection."""

    def __init__(self, pid: int, url: str) -> None:
        self.pid = pid
        self.url = url
        self._session = requests.Session()

    def scrape(self) -> Seconds:
        """Scrape as Prometheus does; what comes is not unpacked."""
        wall, cpu = time.perf_counter(), cpu_seconds(self.pid)
        with self._session.get(self.url, headers=LIKE_PROMETHEUS, timeout=_TIMEOUT, stream=True) as answer:
            answer.raise_for_status()
            answer.raw.read(decode_content=False)
        return Seconds(time.perf_counter() - wall, cpu_seconds(self.pid) - cpu)

    def text(self) -> str:
        """Return what a scrape brings, unpacked."""
        answer = requests.get(self.url, headers=LIKE_PROMETHEUS, timeout=_TIMEOUT)
        answer.raise_for_status()
        return answer.text


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, its ended threads included."""
    # Linux' number of the clock that counts it, in nanoseconds; /proc/PID/stat has hundredths of a second.
    return time.clock_gettime((~pid << 3) | 2)


def configure(folder: Path, *accounts: Mapping[str, Any], **sections: Any) -> Path:
    """Write a configuration, in JSON: that is YAML, too."""
    path = folder / "config.json"
    of_livepeer = [account for account in accounts if "api_key" in account]
    of_qencode = [account for account in accounts if "api_key" not in account]
    path.write_text(json.dumps({"livepeer": of_livepeer, "qencode": of_qencode, **sections}))
    return path


@contextmanager
def serving(folder: Path, *accounts: Mapping[str, Any], **sections: Any) -> Iterator[Served]:
    """Run our exporter on accounts, with its ledger in the folder; sections are of the configuration."""
    config = configure(folder, *accounts, **sections)
    options = ["--web.listen-address=127.0.0.1:0", f"--storage.path={folder}/ledger.db"]
    with running([EXPORTER, "serve", f"--config.file={config}", *options], folder) as served:
        yield served


@contextmanager
def running(
    command: Sequence[str], folder: Path, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Served]:
    """Run a program that says `url=` and its URL on standard error, with variables in its environment."""
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own
            command, stderr=stderr, cwd=folder, env={**os.environ, **variables}
        )
    try:
        deadline = time.monotonic() + _TO_LISTEN
        while not (found := re.search(r"url=(http\S+)", log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not listen: {log.read_text()}")
            time.sleep(0.002)
        yield Served(process.pid, found[1])
    finally:
        ended(process)


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process, politely at first."""
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def livepeer(addresses: Addresses) -> Mapping[str, Any]:
    """Return the section of an account at Livepeer."""
    return {"name": "studio", "base_url": addresses.livepeer_url, "api_key": addresses.livepeer_key}


def qencode(addresses: Addresses, tokens_file: Path) -> Mapping[str, Any]:
    """Return the section of an account at Qencode."""
    return {
        "name": "vod",
        "base_url": addresses.qencode_url,
        "allowed_hosts": ["127.0.0.1"],
        "task_tokens_file": str(tokens_file),
    }
