"""The exporter that one would write in an afternoon: it lists all tasks of Livepeer on each scrape.

It is what ours is compared with, so it is meant to be good: one connection, pages as large as the server
allows, series of their own only for tasks that run or have ended lately, failures counted from one scrape to
the next.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import prometheus_client
import requests
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.registry import Collector

Task = dict[str, Any]

PAGE = 1000
ENDED = {"completed", "failed", "cancelled"}
RETENTION = 900
LABELS = ["task", "task_type"]
FAILURES = prometheus_client.Counter("livepeer_task_failures", "Failed tasks.", ["task_type"])


class TaskCollector(Collector):
    """Asks for all tasks, and shows them."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"
        self.failed: set[str] | None = None

    def describe(self) -> list[GaugeMetricFamily]:
        """Ask nothing yet when the collector is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges, and count what has failed since the last scrape."""
        tasks = list(self.tasks())
        self.count_failures(tasks)
        fleet = GaugeMetricFamily("livepeer_tasks", "Tasks by phase.", labels=["task_type", "phase"])
        for kind, number in Counter((task["type"], task["status"]["phase"]) for task in tasks).items():
            fleet.add_metric(kind, number)
        yield fleet
        yield from single_tasks([task for task in tasks if lately(task)])

    def tasks(self) -> Iterator[Task]:
        """Yield every task, page by page."""
        query = {"limit": str(PAGE)}
        while True:
            answer = self.session.get(f"{self.url}/task", params=query, timeout=10)
            answer.raise_for_status()
            page = answer.json()
            yield from page
            if len(page) < PAGE:
                return
            query["cursor"] = parse_qs(urlsplit(answer.links["next"]["url"]).query)["cursor"][0]

    def count_failures(self, tasks: Iterable[Task]) -> None:
        """Count the tasks that have failed since the last scrape; at the first one, none has."""
        failed = {task["id"]: task["type"] for task in tasks if task["status"]["phase"] == "failed"}
        if self.failed is not None:
            for task_id in failed.keys() - self.failed:
                FAILURES.labels(failed[task_id]).inc()
        self.failed = set(failed)


def lately(task: Task) -> bool:
    """Whether a task runs, or has ended within the retention."""
    status = task["status"]
    return status["phase"] not in ENDED or status["updatedAt"] / 1000 > time.time() - RETENTION


def single_tasks(tasks: Iterable[Task]) -> Iterable[GaugeMetricFamily]:
    """Return the gauges of each task."""
    phase = GaugeMetricFamily("livepeer_task_phase", "1 for the phase.", labels=[*LABELS, "phase"])
    progress = GaugeMetricFamily("livepeer_task_progress_ratio", "From 0 to 1.", labels=LABELS)
    retries = GaugeMetricFamily("livepeer_task_retries", "Retries so far.", labels=LABELS)
    created = GaugeMetricFamily("livepeer_task_created_timestamp_seconds", "Creation.", labels=LABELS)
    updated = GaugeMetricFamily("livepeer_task_updated_timestamp_seconds", "Last update.", labels=LABELS)
    for task in tasks:
        labels, status = [task["id"], task["type"]], task["status"]
        phase.add_metric([*labels, status["phase"]], 1)
        created.add_metric(labels, task["createdAt"] / 1000)
        updated.add_metric(labels, status["updatedAt"] / 1000)
        if "progress" in status:
            progress.add_metric(labels, status["progress"])
        if "retries" in status:
            retries.add_metric(labels, status["retries"])
    return phase, progress, retries, created, updated


if __name__ == "__main__":
    REGISTRY.register(TaskCollector(os.environ["LIVEPEER_URL"], os.environ["LIVEPEER_API_KEY"]))
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1")
    print(f"url=http://127.0.0.1:{server.server_port}/metrics", file=sys.stderr, flush=True)  # noqa: T201
    thread.join()
