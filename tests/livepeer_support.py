"""What the tests of the Livepeer account `studio` share: its list, and its series in short words."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from exporter.assembly import Exporter
from exporter.config import LivepeerConfig, PollConfig, Secret
from exporter.simulator import Request, Simulator
from tests.support import START, samples
from tests.wire import Asked, Wire, http

STUDIO = {"provider": "livepeer", "account": "studio"}

POLL = PollConfig(min_poll_interval=0, retention=400 * 86400.0)
DAY = 86400.0


def record(number: int, updated: float, phase: str = "running", **fields: Any) -> dict[str, Any]:
    """A task as the API shows it; `updated` is in seconds."""
    status = {"phase": phase, "updatedAt": round(updated * 1000)}
    return {"id": f"task-{number:05}", "type": "clip", "createdAt": 1, "status": status, **fields}


def poll(exporter: Exporter, simulator: Simulator) -> list[Request]:
    """Scrape once, and return the requests that it led to."""
    simulator.requests.clear()
    exporter.refresh(30)
    return list(simulator.requests)


def tasks(exporter: Exporter) -> set[str]:
    """The tasks that have series."""
    return {dict(labels)["task"] for labels in samples(exporter, "transcoding_task_info", **STUDIO)}


def states(exporter: Exporter) -> dict[str, str]:
    """The state of each task."""
    return {
        dict(labels)["task"]: dict(labels)["state"]
        for labels in samples(exporter, "transcoding_task_phase", **STUDIO)
    }


def counted(exporter: Exporter, name: str, label: str, **labels: str) -> dict[str, float]:
    """The counter by one label, without what is 0."""
    sums: dict[str, float] = {}
    for found, number in samples(exporter, name, **STUDIO, **labels).items():
        key = dict(found)[label]
        sums[key] = sums.get(key, 0) + number
    return {key: number for key, number in sums.items() if number}


def errors(exporter: Exporter) -> dict[str, float]:
    return counted(exporter, "transcoding_api_errors_total", "reason")


def load_many(simulator: Simulator) -> list[str]:
    """Add 2,350 running tasks, one a minute, the newest a second ago; return their ids."""
    loaded = [record(number, START - 60 * (2350 - number)) for number in range(2350)]
    ids = simulator.livepeer.account.load(loaded)
    simulator.clock.advance(1)
    return ids


class Studio:
    """A list that changes between one page and the next, as the vendor's server would show it."""

    def __init__(self, records: Iterable[dict[str, Any]], between: Callable[["Studio"], None]) -> None:
        self.records = {each["id"]: each for each in records}
        self._between = between

    def answer(self, asked: Asked) -> bytes:
        (condition,) = json.loads(asked.query["filters"])
        assert asked.query["order"] == "updatedAt-false,id-false"
        since, limit = condition["value"]["gte"], int(asked.query["limit"])
        skip = int(asked.query.get("cursor", "skip0").removeprefix("skip"))
        found = sorted(
            (each for each in self.records.values() if each["status"]["updatedAt"] >= since),
            key=lambda each: (each["status"]["updatedAt"], each["id"]),
        )
        page = json.dumps(found[skip : skip + limit]).encode()
        self._between(self)
        return http(200, page)

    def touch(self, number: int, updated: float) -> None:
        self.records[f"task-{number:05}"] = record(number, updated, progress=0.5)


def watch(wire: Wire, **options: Any) -> LivepeerConfig:
    return LivepeerConfig(
        **{
            "name": "studio",
            "api_key": Secret("0000"),
            "base_url": f"{wire.url}/api",
            "lookback": 0,
            **options,
        }
    )
