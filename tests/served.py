"""An exporter as a process, with a configuration that a test changes while it runs."""

import json
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from exporter.simulator import Simulator
from tests.processes import Process, exporting
from tests.scraping import Labels, Scrape, scrape

EACH_SCRAPE = {"min_poll_interval": "0s"}

ASKING = ("transcoding_api_", "transcoding_poll", "process_", "transcoding_up")
"""How the names begin of what changes with every scrape."""


def qencode(simulator: Simulator, *tokens: str, **options: Any) -> dict[str, Any]:
    """The section of an account `vod`."""
    return {
        "name": "vod",
        "task_tokens": tokens,
        "base_url": simulator.qencode_url,
        "allowed_hosts": ["127.0.0.1"],
        **options,
    }


def livepeer(simulator: Simulator, **options: Any) -> dict[str, Any]:
    """The section of an account `studio`."""
    key = {} if "api_key_file" in options else {"api_key": simulator.livepeer_key}
    return {"name": "studio", "base_url": simulator.livepeer_url, **key, **options}


def write(path: Path, *accounts: Mapping[str, Any], **sections: Any) -> Path:
    """Write a configuration, in JSON: that is YAML, too."""
    content = {
        "poll": EACH_SCRAPE,
        "qencode": [account for account in accounts if "allowed_hosts" in account],
        "livepeer": [account for account in accounts if "allowed_hosts" not in account],
        **sections,
    }
    path.write_text(json.dumps(content))
    return path


class Served:
    """A running exporter, and what one can ask of it."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url
        self.site = url.removesuffix("/metrics")

    def scrape(self, timeout: str | None = None) -> Scrape:
        answer = scrape(self.url, timeout)
        assert answer.status == 200
        return answer

    def reload(self, method: str = "POST") -> requests.Response:
        return requests.request(method, f"{self.site}/-/reload", timeout=20)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        return self.process.stop(number)[0]

    def loaded(self) -> float | None:
        """Whether the last reading of the configuration was good, by the metric."""
        return self.scrape().value("transcoding_exporter_config_last_reload_successful")


@contextmanager
def serving(config: Path, *flags: str, **variables: str) -> Iterator[Served]:
    """The exporter; keeps nothing unless a flag names a ledger."""
    storage = () if any(flag.startswith("--storage") for flag in flags) else ("--storage.path=",)
    with exporting("serve", f"--config.file={config}", *storage, *flags, **variables) as (process, url):
        yield Served(process, url)


def of(account: str, answer: Scrape) -> dict[tuple[str, Labels], float]:
    """What is known about the tasks of an account: all its series but those about asking."""
    return {
        (name, labels): value
        for name, samples in answer.samples.items()
        if not name.startswith(ASKING)
        for labels, value in samples.items()
        if ("account", account) in labels
    }


def counters(account: str, answer: Scrape) -> dict[tuple[str, Labels], float]:
    """The counters of an account's tasks, without those at 0."""
    return {
        (name, labels): value
        for (name, labels), value in of(account, answer).items()
        if name.endswith(("_total", "_count", "_sum", "_bucket")) and value
    }


def execute(ledger: Path, statement: str) -> None:
    """Do something to a ledger's file behind the exporter's back."""
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(statement)
