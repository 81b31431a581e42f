"""Every query of the documentation, asked of a real Prometheus with our rules that scrapes the demo."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import requests

from tests.e2e.conftest import Served
from tests.processes import address_of_prometheus, running, wait_until

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

WITH_DATA = {
    "transcoding_up",
    "time() - transcoding_poll_last_success_timestamp_seconds",
    "transcoding_exporter_ledger_degraded",
    "transcoding_task_series_dropped",
    'sum by (provider, account) (transcoding_tasks{state="queued"})',
    "sum by (provider, account, endpoint) (rate(transcoding_api_requests_total[5m]))",
    "sum by (provider, account, outcome) (increase(transcoding_polls_total[15m])) > 0",
    "scrape_samples_scraped and on (job, instance) transcoding_exporter_build_info",
    "process_resident_memory_bytes and on (job, instance) transcoding_exporter_build_info",
}
"""Some that have a result whatever happens in the demo; others ask for trouble."""


def documented() -> Iterator[tuple[str, str]]:
    """Each query, with the page that shows it."""
    for page in PAGES:
        for block in re.findall(r"(?ms)^ *```promql\n(.*?)^ *```$", page.read_text()):
            yield str(page.relative_to(ROOT)), dedent(block).strip()


QUERIES = list(documented())


@pytest.fixture(scope="module")
def url(tool: Callable[[str], str], demo: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a Prometheus answers that knows the demo, and has evaluated our rules."""
    folder = tmp_path_factory.mktemp("documented")
    config = folder / "prometheus.yml"
    config.write_text(
        dedent(f"""\
        global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s}}
        rule_files: ["{ROOT}/prometheus/rules/*.yaml"]
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
        base = f"http://{address}/api/v1"
        # Both accounts, so that a match of one with many is one.
        each = "count by (provider) (transcoding_task_phase)"
        wait_until(lambda: len(ask(base, each)) == 2, 60, "tasks of both accounts")
        wait_until(lambda: ask(base, "account:transcoding_tasks:sum"), 60, "an evaluation of the rules")
        yield base


def ask(base: str, query: str) -> list[object]:
    """The result of a query; fails if Prometheus refuses it or has a doubt about it."""
    answer = requests.get(f"{base}/query", params={"query": query}, timeout=10).json()
    assert answer["status"] == "success", answer
    assert answer.get("warnings", []) == []
    result: list[object] = answer["data"]["result"]
    return result


def test_every_runbook_is_among_the_pages() -> None:
    assert len({page for page, _ in QUERIES if page.startswith("docs/runbooks/Transcoding")}) == 24
    assert {query for _, query in QUERIES} >= WITH_DATA


@pytest.mark.parametrize(
    ("page", "query"), QUERIES, ids=[f"{page}-{n}" for n, (page, _) in enumerate(QUERIES)]
)
def test_a_documented_query_is_answered(url: str, page: str, query: str) -> None:
    if query in WITH_DATA:
        wait_until(lambda: ask(url, query), 30, f"a result of {query} ({page})")
    else:
        ask(url, query)


def test_every_rule_is_evaluated_without_an_error(url: str) -> None:
    def evaluated() -> list[dict[str, str]]:
        groups = requests.get(f"{url}/rules", timeout=10).json()["data"]["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return [] if any(rule["health"] == "unknown" for rule in found) else found

    found = wait_until(evaluated, 30, "an evaluation of every rule")

    assert len(found) == 36
    assert {rule["name"]: rule["lastError"] for rule in found if rule["health"] != "ok"} == {}
