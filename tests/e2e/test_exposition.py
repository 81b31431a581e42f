"""What the demo serves is the contract, in each format, and promtool finds no fault with it."""

import gzip
import subprocess
from collections.abc import Callable, Mapping

import pytest
import requests
from prometheus_client import Metric

from tests.e2e.conftest import Served
from tests.processes import wait_until
from tests.scraping import openmetrics_families, scrape, text_families

A = {"provider", "account"}
T = A | {"task_type"}
K = T | {"task"}
CUSTOM = {"exported_project"}
"""The label that the demo's discovery gives its tokens; there is one of our own of that name."""

CONTRACT: Mapping[str, tuple[str, set[str]]] = {
    "transcoding_tasks": ("gauge", T | {"phase", "state"}),
    "transcoding_task_phase_entries_total": ("counter", T | {"phase", "state"}),
    "transcoding_retries_total": ("counter", T),
    "transcoding_task_failures_total": ("counter", T | {"reason"}),
    "transcoding_task_warnings_total": ("counter", T),
    "transcoding_task_duration_seconds": ("histogram", T | {"state"}),
    "transcoding_task_phase_duration_seconds": ("histogram", T | {"phase"}),
    "transcoding_stalled_tasks": ("gauge", T | {"phase"}),
    "transcoding_failed_tasks": ("gauge", T | {"reason"}),
    "transcoding_oldest_active_task_created_timestamp_seconds": ("gauge", T | {"state"}),
    "transcoding_output_seconds_total": ("counter", T | {"kind"}),
    "transcoding_output_bytes_total": ("counter", T | {"kind"}),
    "transcoding_task_progress_ratio": ("gauge", K),
    "transcoding_task_phase": ("gauge", K | {"phase", "state"}),
    "transcoding_task_retries": ("gauge", K),
    "transcoding_task_created_timestamp_seconds": ("gauge", K),
    "transcoding_task_scheduled_timestamp_seconds": ("gauge", K),
    "transcoding_task_updated_timestamp_seconds": ("gauge", K),
    "transcoding_task_finished_timestamp_seconds": ("gauge", K),
    "transcoding_task_last_change_timestamp_seconds": ("gauge", K),
    "transcoding_task_stalled": ("gauge", K),
    "transcoding_task_info": ("gauge", K | {"project", "input_asset", "output_asset"} | CUSTOM),
    "transcoding_task_failure_info": ("gauge", K | {"reason"}),
    "transcoding_up": ("gauge", A),
    "transcoding_poll_duration_seconds": ("histogram", A),
    "transcoding_poll_last_success_timestamp_seconds": ("gauge", A),
    "transcoding_polls_total": ("counter", A | {"outcome"}),
    "transcoding_api_request_duration_seconds": ("histogram", A | {"endpoint"}),
    "transcoding_api_requests_total": ("counter", A | {"endpoint", "code"}),
    "transcoding_api_errors_total": ("counter", A | {"endpoint", "reason"}),
    "transcoding_unknown_tokens": ("gauge", A),
    "transcoding_token_source_up": ("gauge", A | {"source"}),
    "transcoding_task_series_dropped": ("gauge", set()),
    "transcoding_exporter_ledger_degraded": ("gauge", set()),
    "transcoding_exporter_ledger_set_aside_files": ("gauge", set()),
    "transcoding_exporter_web_config_last_reload_successful": ("gauge", set()),
    "transcoding_exporter_build_info": ("gauge", {"version", "pythonversion"}),
    "transcoding_exporter_shard_ordinal": ("gauge", set()),
    "transcoding_exporter_total_shards": ("gauge", set()),
    "transcoding_exporter_config_last_reload_successful": ("gauge", set()),
    "transcoding_exporter_config_last_reload_success_timestamp_seconds": ("gauge", set()),
    "process_cpu_seconds_total": ("counter", set()),
    "process_resident_memory_bytes": ("gauge", set()),
    "process_virtual_memory_bytes": ("gauge", set()),
    "process_start_time_seconds": ("gauge", set()),
    "process_open_fds": ("gauge", set()),
    "process_max_fds": ("gauge", set()),
}
"""Every family with its type and labels, as the metrics contract has them."""

ONE_PROVIDER = {
    # Qencode tells no times.
    "transcoding_task_created_timestamp_seconds",
    "transcoding_task_scheduled_timestamp_seconds",
    "transcoding_task_updated_timestamp_seconds",
    "transcoding_task_finished_timestamp_seconds",
    "transcoding_oldest_active_task_created_timestamp_seconds",
    # Livepeer lists its tasks.
    "transcoding_unknown_tokens",
    "transcoding_token_source_up",
}
"""The families that only one of the providers has samples of."""

FORMATS = {
    "text 0.0.4": (
        "text/plain;version=0.0.4",
        "text/plain; version=0.0.4; charset=utf-8",
        text_families,
    ),
    "text 1.0.0": (
        "text/plain;version=1.0.0;escaping=underscores",
        "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
        text_families,
    ),
    "OpenMetrics 1.0": (
        "application/openmetrics-text;version=1.0.0",
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        openmetrics_families,
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _tasks_have_ended(demo: Served) -> None:
    """Wait until each provider has tasks that ended well and badly, so that every family has samples."""

    def ended() -> bool:
        answer = scrape(demo.url)
        return all(
            answer.total("transcoding_tasks", provider=provider, state=state)
            for provider in ("qencode", "livepeer")
            for state in ("completed", "failed")
        )

    wait_until(ended, 30, "tasks have ended at both providers, well and badly")


def fetch(demo: Served, accept: str) -> requests.Response:
    return requests.get(demo.url, headers={"Accept": accept}, timeout=10)


def labels(family: Metric) -> set[frozenset[str]]:
    return {frozenset(sample.labels) - {"le"} for sample in family.samples}


@pytest.mark.parametrize(("accept", "content_type", "parse"), FORMATS.values(), ids=FORMATS)
def test_the_families_are_those_of_the_contract(
    demo: Served, accept: str, content_type: str, parse: Callable[[str], dict[str, Metric]]
) -> None:
    answer = fetch(demo, accept)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    served = parse(answer.text)
    found = {name: (family.type, labels(family)) for name, family in served.items()}
    assert found == {name: (kind, {frozenset(known)}) for name, (kind, known) in CONTRACT.items()}
    assert [name for name, family in served.items() if not family.documentation] == []


def test_both_providers_have_nearly_all_of_them(demo: Served) -> None:
    of_both = {
        name
        for name, family in text_families(fetch(demo, "").text).items()
        if {sample.labels.get("provider") for sample in family.samples} == {"qencode", "livepeer"}
    }

    assert of_both == {name for name, (_, known) in CONTRACT.items() if "provider" in known} - ONE_PROVIDER


def test_promtool_finds_nothing(demo: Served, tool: Callable[[str], str]) -> None:
    result = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=fetch(demo, "").content,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
    )

    assert (result.returncode, result.stdout.decode()) == (0, "")


def test_no_value_is_unknown(demo: Served) -> None:
    strange = {
        f"{sample.name}{sample.labels}"
        for family in text_families(fetch(demo, "").text).values()
        for sample in family.samples
        if not abs(sample.value) < float("inf")
    }

    assert strange == set()


def test_times_are_seconds_of_this_age(demo: Served) -> None:
    times = {
        sample.value
        for name, family in text_families(fetch(demo, "").text).items()
        for sample in family.samples
        if name.endswith("_timestamp_seconds")
    }

    # From 2020 to 2100: neither milliseconds nor seconds since the start.
    assert min(times) > 1_577_836_800
    assert max(times) < 4_102_444_800


def test_gzip_saves_most_of_the_way(demo: Served) -> None:
    plain = requests.get(demo.url, headers={"Accept-Encoding": "identity"}, timeout=10)
    with requests.get(demo.url, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10) as answer:
        zipped = answer.raw.read(decode_content=False)

    assert "Content-Encoding" not in plain.headers
    assert answer.headers["Content-Encoding"] == "gzip"
    assert text_families(gzip.decompress(zipped).decode()).keys() == CONTRACT.keys()
    assert len(zipped) < len(plain.content) / 5


def test_the_head_alone_has_no_body(demo: Served) -> None:
    with requests.Session() as session:
        # A body that should not be there would be taken for the next answer on the connection.
        heads = [session.head(demo.url, headers={"Accept-Encoding": "identity"}, timeout=10) for _ in "12"]

    assert [(head.status_code, head.content) for head in heads] == [(200, b""), (200, b"")]
    assert heads[0].headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
