"""The benchmarks measure what they say; how fast anything is, only `make bench` tells."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from benchmarks.figures import Bar, Figure, Unit, alone, at_least, below, compared, missed
from benchmarks.plain import plain_exporting
from benchmarks.processes import livepeer, serving
from benchmarks.provider import Provider, Work, providing
from tests.scraping import scrape

ROOT = Path(__file__).parents[2]

KEYSET = {
    "limit": "1000",
    "order": "updatedAt-false,id-false",
    "filters": '[{"id":"updatedAt","value":{"gte":0}}]',
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """1,500 ended tasks and 20 that run: two pages of them."""
    with providing(Work(livepeer_ended=1500, livepeer_active=20)) as provider:
        yield provider


def page(provider: Provider, **query: str) -> tuple[Sequence[Mapping[str, Any]], str]:
    addresses = provider.addresses
    key = {"Authorization": f"Bearer {addresses.livepeer_key}"}
    answer = requests.get(f"{addresses.livepeer_url}/task", query, headers=key, timeout=10)
    answer.raise_for_status()
    return answer.json(), answer.links.get("next", {}).get("url", "").rpartition("cursor=")[2]


def test_the_list_is_paged_as_the_service_does_newest_first(provider: Provider) -> None:
    first, cursor = page(provider, limit="1000")
    second, end = page(provider, limit="1000", cursor=cursor)
    past_the_end, none = page(provider, limit="1000", cursor=end)

    assert (len(first), cursor) == (1000, "skip1000")
    assert (len(second), end) == (520, "undefined")
    assert (past_the_end, none) == ([], "")
    updates = [task["status"]["updatedAt"] for task in [*first, *second]]
    assert updates == sorted(updates, reverse=True)
    assert len({task["id"] for task in [*first, *second]}) == 1520


def test_the_list_is_read_on_by_the_latest_update(provider: Provider) -> None:
    tasks, _ = page(provider, **KEYSET)
    latest = tasks[-1]["status"]["updatedAt"]
    later, _ = page(provider, **{**KEYSET, "filters": KEYSET["filters"].replace("0", str(latest))})

    assert tasks[0]["status"]["updatedAt"] < tasks[500]["status"]["updatedAt"] < latest
    assert later[0]["id"] == tasks[-1]["id"]
    assert len(later) == 521


def test_as_many_tasks_go_on_as_are_told_to(provider: Provider) -> None:
    before = {task["id"]: task["status"] for task in page(provider, limit="1000")[0]}
    provider.change(7)
    after = {task["id"]: task["status"] for task in page(provider, limit="1000")[0]}

    changed = [task for task, status in after.items() if status != before[task]]
    assert len(changed) == 7
    assert all(after[task]["updatedAt"] > before[task]["updatedAt"] for task in changed)


def test_ours_and_the_plain_exporter_tell_the_same(provider: Provider, tmp_path: Path) -> None:
    with serving(tmp_path, livepeer(provider.addresses)) as ours, plain_exporting(provider) as plain:
        told, other = scrape(ours.url), scrape(plain.url)

    for family in ("progress_ratio", "retries", "created_timestamp_seconds", "updated_timestamp_seconds"):
        mine = told.by("task", f"transcoding_task_{family}")
        assert len(mine) == 20
        assert mine == other.by("task", f"livepeer_task_{family}")
    assert told.total("transcoding_up") == 1
    assert other.by("phase", "livepeer_tasks") == {"completed": 1500, "running": 20}


def ratio(*pairs: tuple[float, float], bar: Bar) -> Figure:
    return compared("a", "of something", Unit.SECONDS, pairs, bar)


def test_a_ratio_is_the_median_of_those_of_the_pairs_and_not_that_of_the_medians() -> None:
    measured = ((1.0, 10.0), (2.0, 24.0), (30.0, 90.0))

    assert ratio(*measured, bar=at_least(10)).ratio == 10
    assert ratio(*((theirs, ours) for ours, theirs in measured), bar=below(1.3)).ratio == 10


@pytest.mark.parametrize(
    ("figure", "fails", "fails_in_a_smoke_run"),
    [
        (ratio((1.0, 10.0), bar=at_least(10)), False, False),
        (ratio((1.0, 9.9), bar=at_least(10)), True, False),
        (ratio((1.0, 4.9), bar=at_least(10)), True, True),
        (ratio((1.2, 1.0), bar=below(1.3)), False, False),
        (ratio((1.4, 1.0), bar=below(1.3)), True, False),
        (ratio((2.7, 1.0), bar=below(1.3)), True, True),
        (ratio((9.0, 1.0), bar=below()), False, False),
        (alone("d", "memory", Unit.BYTES, [1500.0], below(1024)), True, False),
        (alone("d", "memory", Unit.BYTES, [2100.0], below(1024)), True, True),
        (alone("e", "a start on a slow machine", Unit.SECONDS, [9.0], below(1)), True, False),
    ],
    ids=lambda value: f"{value.unit}{value.judged:.3g}" if isinstance(value, Figure) else None,
)
def test_a_bar_fails_the_run_when_missed_and_a_smoke_run_when_missed_by_half(
    figure: Figure, fails: bool, fails_in_a_smoke_run: bool
) -> None:
    assert bool(missed([figure], smoke=False)) is fails
    assert bool(missed([figure], smoke=True)) is fails_in_a_smoke_run


def test_the_command_prints_a_table_and_writes_what_it_was_measured_on(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--part", "gzip", "--json", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    assert "zlib, level 1: size" in done.stdout
    written = json.loads(results.read_text())
    assert written["python"] == platform.python_version()
    assert {"date", "machine", "exporter"} < written.keys()
    assert {"zlib, level 1: size", "zlib, level 6: size"} < {one["metric"] for one in written["figures"]}
