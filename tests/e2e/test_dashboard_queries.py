"""Every query of the dashboards, asked of a real Prometheus with our rules, about four kinds of day."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import requests

from tests.boards import Ask, Choice, asks, choices
from tests.processes import Process, address_of_prometheus, exporting, running, wait_until
from tests.promql import interpolated

RULES = Path(__file__).parents[2] / "prometheus" / "rules"

DAYS = {
    "healthy": ("--mood", "healthy", "--speed", "20"),
    "failing": ("--mood", "failing", "--speed", "60"),
    "outage": ("--mood", "outage"),
}
"""Each is a demo, and a job of Prometheus."""

WITHOUT_SERIES = "fleet"
"""The failing day once more, seen by an exporter that shows no single task."""

OVERVIEW, TASK, EXPORTER = "transcoding-overview", "transcoding-task", "transcoding-exporter"
MARKS = "annotation Failures"
WITHOUT_MARKS = "annotation Failures (of tasks without series)"

EMPTY: Mapping[tuple[str, str, str], tuple[str, str]] = {
    (OVERVIEW, "Stalled now", "A"): ("failing", "nothing stalls"),
    (OVERVIEW, "Stalled now", "B"): (WITHOUT_SERIES, "all tasks have series"),
    (OVERVIEW, "Failed lately", "A"): ("failing", "nothing fails"),
    (OVERVIEW, "Failed lately", "B"): (WITHOUT_SERIES, "all tasks have series"),
    (OVERVIEW, "Failures by reason", "A"): ("failing", "nothing fails"),
    (OVERVIEW, "Request errors", "A"): ("outage", "the providers answer"),
    (OVERVIEW, MARKS, ""): ("failing", "nothing fails"),
    (OVERVIEW, WITHOUT_MARKS, ""): (WITHOUT_SERIES, "nothing fails"),
    (OVERVIEW, "annotation Alerts", ""): ("failing", "nothing is alerted"),
    (TASK, "Failed because of", "A"): ("failing", "nothing fails"),
    (TASK, MARKS, ""): ("failing", "nothing fails"),
    (TASK, "annotation Alerts", ""): ("failing", "nothing is alerted"),
    (EXPORTER, "Errors by reason", "A"): ("outage", "the providers answer"),
    (EXPORTER, "annotation Alerts", ""): ("failing", "nothing is alerted"),
}
"""What rightly has no data on a healthy day: the day that has, and why this one has not."""

RANGE = 120
"""Seconds that the dashboards show."""

DURATIONS = {"$__rate_interval": "30s", "$__interval": "5s", "$__range": f"{RANGE}s"}

ASKS = list(asks())
CHOICES = list(choices())


class Grafana:
    """Asks as Grafana does: its variables in place, for the time that ends now."""

    def __init__(self, prometheus: str, job: str) -> None:
        self._api = f"{prometheus}/api/v1"
        self._job = job

    def answer(self, ask: Ask) -> list[Any]:
        """The series of an answer that have a value, for the first task of which there are any."""
        if "$task" not in ask.expr.replace("$task_type", ""):
            return self._asked(ask, "")
        (choice,) = (one for one in CHOICES if (one.board, one.name) == (ask.board, "task"))
        return next(filter(None, (self._asked(ask, task) for task in self.values(choice))), [])

    def values(self, choice: Choice) -> list[str]:
        """What there is to choose from."""
        found: list[str] = self._get(
            f"label/{choice.label}/values", {"match[]": self._filled(choice.selector), **self._shown()}
        )
        return found

    def _asked(self, ask: Ask, task: str) -> list[Any]:
        query = {"query": self._filled(ask.expr, task)}
        if ask.now:
            found = self._get("query", query)["result"]
            return [one for one in found if one["value"][1] != "NaN"]
        found = self._get("query_range", {**query, **self._shown(), "step": "5"})["result"]
        return [one for one in found if any(value != "NaN" for _, value in one["values"])]

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        answer = requests.get(f"{self._api}/{path}", parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        assert not answer.keys() & {"warnings", "infos"}, answer
        return answer["data"]

    def _filled(self, query: str, task: str = "") -> str:
        """The query as Prometheus gets it; all is chosen, of which there can be more than one."""
        query = (
            interpolated(query, DURATIONS).replace('"$task"', f'"{task}"').replace('"$job"', f'"{self._job}"')
        )
        filled = re.sub(r'"\$(instance|provider|account|task_type|endpoint)"', '".+"', query)
        assert "$" not in re.sub(r"\$\d", "", filled), filled
        return filled

    def _shown(self) -> dict[str, str]:
        now = time.time()
        return {"start": str(now - RANGE), "end": str(now)}


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The exporters by job, each with the URL of its metrics."""
    with ExitStack() as stack:
        started = {job: stack.enter_context(exporting("demo", *flags)) for job, flags in DAYS.items()}
        config = without_series(started["failing"][0], tmp_path_factory.mktemp("exporter"))
        flags = (f"--config.file={config}", "--storage.path=")
        started[WITHOUT_SERIES] = stack.enter_context(exporting("serve", *flags))
        yield {job: url for job, (_, url) in started.items()}


def without_series(demo: Process, folder: Path) -> Path:
    """A configuration that watches the services of a demo."""
    qencode, livepeer, key = (
        wait_until(lambda: re.search(pattern, demo.stdout + demo.stderr), 15, pattern)[1]  # noqa: B023
        for pattern in (r"Qencode +(http\S+)", r"Livepeer +(http\S+)", r"API key: ([\w-]+)")
    )
    path = folder / "config.yml"
    path.write_text(
        dedent(f"""\
        poll: {{stall_after: 1s, min_poll_interval: 1s}}
        metrics: {{per_task: false}}
        livepeer: [{{name: demo, base_url: "{livepeer}", api_key: {key}}}]
        qencode:
          - name: demo
            base_url: {qencode}
            allowed_hosts: ["127.0.0.1"]
            task_tokens_http: {qencode}/discovery/tokens
        """)
    )
    return path


@pytest.fixture(scope="module")
def asking(
    tool: Callable[[str], str], days: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Grafana]]:
    """A Prometheus with our rules that scrapes every day's exporter each second, asked about one of them."""
    folder = tmp_path_factory.mktemp("prometheus")
    jobs = "".join(
        f'\n  - {{job_name: {job}, static_configs: [{{targets: ["{url.split("/")[2]}"]}}]}}'
        for job, url in days.items()
    )
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        f'rule_files: ["{RULES}/*.yaml"]\nscrape_configs:{jobs}\n'
    )
    command = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command) as process:
        address = address_of_prometheus(process)
        yield lambda job: Grafana(f"http://{address}", job)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_there_is_something_to_choose(asking: Callable[[str], Grafana], choice: Choice) -> None:
    grafana = asking("healthy")

    values = wait_until(lambda: grafana.values(choice), 30, f"values for {choice}")

    assert "" not in values
    if choice.name == "provider":
        assert wait_until(lambda: len(grafana.values(choice)) == 2, 30, "both providers")


@pytest.mark.parametrize("ask", ASKS, ids=str)
def test_a_query_has_data(asking: Callable[[str], Grafana], ask: Ask) -> None:
    day, _ = EMPTY.get(ask[:3], ("healthy", ""))
    wait_until(lambda: asking(day).answer(ask), 45, f"data of {ask} on a {day} day:\n{ask.expr}")


@pytest.mark.parametrize("ask", [ask for ask in ASKS if ask[:3] in EMPTY], ids=str)
def test_a_healthy_day_shows_no_trouble(asking: Callable[[str], Grafana], ask: Ask) -> None:
    grafana = asking("healthy")
    running_tasks = ask._replace(expr='transcoding_task_phase{job="$job", state="running"}', now=True)
    wait_until(lambda: grafana.answer(running_tasks), 30, "running tasks")

    assert grafana.answer(ask) == []


def test_what_is_empty_on_a_healthy_day_is_still_asked() -> None:
    assert EMPTY.keys() <= {ask[:3] for ask in ASKS}
