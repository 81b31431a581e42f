"""A real Prometheus and a real Alertmanager, wired by our own example files, and whoever is told."""

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import requests
import yaml

from tests.processes import Process, address_of_prometheus, run, running, wait_until
from tests.scraping import read

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "prometheus"

AT_ONCE = {"group_wait": "1s", "group_interval": "1s"}
"""What a test can't wait for, in the routes of Alertmanager."""

ALONE = "--cluster.listen-address="
"""For an Alertmanager without others."""

Name = tuple[str, str, str]
"""Which alert, of which account, and of which task; "" if it is of none."""


@dataclass(frozen=True)
class Alert:
    """An alert as Alertmanager has it, or tells about it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    status: str
    fingerprint: str
    inhibited_by: tuple[str, ...] = ()

    @property
    def name(self) -> Name:
        return self.labels["alertname"], self.labels.get("account", ""), self.labels.get("task", "")


@dataclass(frozen=True)
class Notification:
    """What a receiver is told at once."""

    receiver: str
    status: str
    group: Mapping[str, str]
    alerts: tuple[Alert, ...]


class Pager:
    """The receivers' end: an HTTP server that keeps what it is told."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pager.notifications.append(_notification(json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def listening(self) -> Iterator["Pager"]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def told(self, status: str) -> list[tuple[str, Name]]:
        """Every alert with a status that was told, by receiver; in order, repetitions included."""
        return [
            (notification.receiver, alert.name)
            for notification in self.notifications
            for alert in notification.alerts
            if alert.status == status
        ]


def _notification(content: Mapping[str, Any]) -> Notification:
    alerts = tuple(
        Alert(alert["labels"], alert["annotations"], alert["status"], alert["fingerprint"])
        for alert in content["alerts"]
    )
    return Notification(content["receiver"], content["status"], content["groupLabels"], alerts)


class Monitoring:
    """Prometheus and Alertmanager while they run.

    Attributes:
        port: Where they look for an exporter, whether there is one or not.
        pager: Whom they tell.
    """

    def __init__(self, prometheus: str, alertmanager: str, port: int, pager: Pager) -> None:
        self._prometheus = prometheus
        self._alertmanager = alertmanager
        self.port = port
        self.pager = pager

    def query(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """The labels and values of an instant query."""
        data = _get(f"{self._prometheus}/api/v1/query", query=expression)["data"]
        return [(found["metric"], float(found["value"][1])) for found in data["result"]]

    def alerts(self) -> dict[Name, Alert]:
        """What Alertmanager has that is not resolved, held back or not."""
        found = [
            Alert(
                alert["labels"],
                alert["annotations"],
                alert["status"]["state"],
                alert["fingerprint"],
                tuple(alert["status"]["inhibitedBy"]),
            )
            for alert in _get(f"{self._alertmanager}/api/v2/alerts")
        ]
        assert len({alert.name for alert in found}) == len(found)
        return {alert.name: alert for alert in found}

    def pending(self) -> list[str]:
        """The names of all alerts that Prometheus has, those included that have not lasted long enough."""
        alerts = _get(f"{self._prometheus}/api/v1/alerts")["data"]["alerts"]
        return [alert["labels"]["alertname"] for alert in alerts]

    def expect(self, names: set[Name], seconds: float = 40.0) -> Mapping[Name, Alert]:
        """Wait until Alertmanager has these alerts and no other."""

        def there() -> tuple[Mapping[Name, Alert], ...]:
            alerts = self.alerts()
            return (alerts,) if alerts.keys() == names else ()

        try:
            return wait_until(there, seconds, "")[0]
        except AssertionError:
            there_are = self.alerts().keys()
            message = f"missing: {sorted(names - there_are)}, too many: {sorted(there_are - names)}"
            raise AssertionError(message) from None

    def evaluated(self, times: int) -> None:
        """Wait until every group of rules has been evaluated so many times more."""
        before = self._evaluations()
        assert before

        def done() -> bool:
            return all(number >= before[group] + times for group, number in self._evaluations().items())

        wait_until(done, 30 + 2 * times, f"{times} evaluations")

    def _evaluations(self) -> dict[str, float]:
        text = requests.get(f"{self._prometheus}/metrics", timeout=10).text
        lines = "".join(f"{line}\n" for line in text.splitlines() if "rule_group_iterations_total{" in line)
        counted = read(lines)["prometheus_rule_group_iterations_total"]
        return {dict(labels)["rule_group"]: number for labels, number in counted.items()}


def _get(url: str, **parameters: str) -> Any:
    answer = requests.get(url, params=parameters, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


@contextmanager
def monitoring(tool: Callable[[str], str], folder: Path, settings: Mapping[str, str]) -> Iterator[Monitoring]:
    """Prometheus and Alertmanager as our examples wire them, but every second.

    Args:
        tool: Finds a program.
        folder: Where they may write.
        settings: Of the rules, other than the defaults.
    """
    port = port_for_later()
    given = [argument for name, value in settings.items() for argument in ("--set", f"{name}={value}")]
    printed = run("rules", *given, "--directory", str(folder / "rules"))
    assert printed.returncode == 0, printed.stderr
    with Pager().listening() as pager:
        alertmanager_yml = folder / "alertmanager.yml"
        alertmanager_yml.write_text(yaml.safe_dump(told_at_once(pager.url)))
        with alertmanager(tool("prometheus-alertmanager"), alertmanager_yml, ALONE) as (_, alerts_url):
            prometheus_yml = folder / "prometheus.yml"
            prometheus_yml.write_text(yaml.safe_dump(scraped_each_second(f"127.0.0.1:{port}", alerts_url)))
            with prometheus(tool("prometheus"), prometheus_yml) as (_, url):
                yield Monitoring(url, alerts_url, port, pager)


def port_for_later() -> int:
    """Return a free port from below those that the system gives to whoever wants any."""
    for port in Random().sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


@contextmanager
def prometheus(program: str, config: Path, *flags: str) -> Iterator[tuple[Process, str]]:
    """Prometheus as a process, ready, and its URL."""
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={config.with_name('prometheus-data')}",
        *flags,
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command) as process:
        address = address_of_prometheus(process)
        yield process, f"http://{address}"


@contextmanager
def alertmanager(program: str, config: Path, *flags: str) -> Iterator[tuple[Process, str]]:
    """Alertmanager as a process, ready, and its URL."""
    command = [
        program,
        f"--config.file={config}",
        f"--storage.path={config.with_name('alertmanager-data')}",
        *flags,
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command) as process:
        url = "http://" + process.find(r'msg="Listening on".* address=(127\.0\.0\.1:\d+)')
        wait_until(lambda: requests.get(f"{url}/-/ready", timeout=5).ok, 15, "Alertmanager is ready")
        yield process, url


def scraped_each_second(target: str, alertmanager_url: str) -> dict[str, Any]:
    """Our prometheus.yml with other addresses; the exporter keeps the name by which its alerts call it."""
    config: dict[str, Any] = yaml.safe_load((EXAMPLES / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [
        urlsplit(alertmanager_url).netloc
    ]
    (static,) = config["scrape_configs"][0]["static_configs"]
    (name,) = static["targets"]
    static |= {"targets": [target], "labels": {"instance": name}}
    return config


def told_at_once(url: str) -> dict[str, Any]:
    """Our alertmanager.yml with its destinations uncommented, and without the waiting."""
    config: dict[str, Any] = yaml.safe_load(with_destinations((EXAMPLES / "alertmanager.yml").read_text()))
    for receiver in config["receivers"]:
        for webhook in receiver["webhook_configs"]:
            webhook["url"] = url
    config["route"] |= AT_ONCE
    for route in config["route"]["routes"]:
        route |= AT_ONCE
    return config


def with_destinations(text: str) -> str:
    """Uncomment the destinations of the receivers, as their comment says to."""
    return re.sub(r"(?m)^( +)# (webhook_configs:|  - url: .*)$", r"\1\2", text)
