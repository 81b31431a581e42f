"""A real Prometheus scrapes the demo, and answers the questions of the engineer on call."""

import re
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Served
from tests.processes import wait_until
from tests.scraping import scrape

PROVIDERS = {"qencode", "livepeer"}


def ask(prometheus: Served, path: str, **parameters: str) -> Any:
    answer = requests.get(f"{prometheus.url}/api/v1/{path}", params=parameters, timeout=10).json()
    assert answer["status"] == "success", answer
    return answer["data"]


def query(prometheus: Served, expression: str) -> dict[str, float]:
    """The values of an expression by provider, "" for none; waited for until both have some.

    On a machine that is busy the first poll of a provider can be late for the first scrapes.
    """

    def results() -> list[Any]:
        found: list[Any] = ask(prometheus, "query", query=expression)["result"]
        providers = {result["metric"].get("provider", "") for result in found}
        return found if providers in (PROVIDERS, {""}) else []

    vector = wait_until(results, 40, f"a result of {expression} for both providers")
    return {result["metric"].get("provider", ""): float(result["value"][1]) for result in vector}


def test_the_target_is_healthy(prometheus: Served) -> None:
    assert query(prometheus, "up") == {"": 1}

    (target,) = ask(prometheus, "targets", state="active")["activeTargets"]

    assert (target["health"], target["lastError"]) == ("up", "")
    assert target["scrapePool"] == "transcoding"
    assert target["lastScrapeDuration"] < 2


@pytest.mark.parametrize(
    "family",
    [
        "transcoding_task_progress_ratio",
        "transcoding_task_phase",
        "transcoding_task_retries",
        "transcoding_tasks",
        "transcoding_task_phase_entries_total",
        "transcoding_retries_total",
        "transcoding_task_failures_total",
        "transcoding_poll_duration_seconds_bucket",
        "transcoding_poll_duration_seconds_count",
        "transcoding_api_request_duration_seconds_bucket",
    ],
)
def test_a_family_of_both_providers_comes_back(prometheus: Served, family: str) -> None:
    assert query(prometheus, f"count by (provider) ({family})").keys() == PROVIDERS


def test_progress_is_a_ratio_that_grows(prometheus: Served) -> None:
    name = "transcoding_task_progress_ratio"

    assert query(prometheus, f"min by (provider) ({name}) >= 0").keys() == PROVIDERS
    assert query(prometheus, f"max by (provider) ({name}) <= 1").keys() == PROVIDERS
    assert query(prometheus, f"count by (provider) (delta({name}[1m]) > 0)").keys() == PROVIDERS


def test_both_accounts_are_up(prometheus: Served) -> None:
    assert query(prometheus, "transcoding_up == 1") == {"qencode": 1, "livepeer": 1}


def test_tasks_are_running(prometheus: Served) -> None:
    running = query(prometheus, 'sum by (provider) (transcoding_tasks{state="running"}) > 0')
    assert running.keys() == PROVIDERS


def test_phases_are_entered(prometheus: Served) -> None:
    rate = "sum by (provider) (increase(transcoding_task_phase_entries_total[1m])) > 0"
    assert query(prometheus, rate).keys() == PROVIDERS


def test_the_time_that_a_poll_takes_has_a_quantile(prometheus: Served) -> None:
    rates = "sum by (provider, le) (rate(transcoding_poll_duration_seconds_bucket[1m]))"
    quantiles = query(prometheus, f"histogram_quantile(0.9, {rates}) > 0")

    assert quantiles.keys() == PROVIDERS
    assert max(quantiles.values()) < 10


def test_types_and_help_are_known(prometheus: Served) -> None:
    query(prometheus, "transcoding_up")
    metadata = ask(prometheus, "metadata")

    assert metadata["transcoding_tasks"][0]["type"] == "gauge"
    assert metadata["transcoding_poll_duration_seconds"][0]["type"] == "histogram"
    assert all(metadata[name][0]["help"] for name in metadata if name.startswith("transcoding_"))


def test_every_sample_is_taken_in(prometheus: Served, demo: Served) -> None:
    query(prometheus, "up")
    own = scrape(f"{prometheus.url}/metrics")
    lost = {name for name in own.samples if re.fullmatch(r"prometheus_target_scrapes_\w+_total", name)}

    assert "prometheus_target_scrapes_sample_duplicate_timestamp_total" in lost
    assert {name: own.value(name) for name in lost if own.value(name)} == {}
    assert [line for line in prometheus.process.stderr.splitlines() if "level=info" not in line] == []
    # That tasks fail is what the demo is about, and is told.
    assert re.findall('level=(?:warning|error) event=(?!"task failed").*', demo.process.stderr) == []
