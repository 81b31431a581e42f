"""The tasks on the vendor's own pages, served byte for byte, become the series that a reader expects.

The pages are 002_36d56ea1a7bf3922.txt (one task) and 003_f960412d6bc993f2.txt (the list, in its older shape);
see data/seeds/README.md.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.assembly import Exporter
from exporter.config import LivepeerConfig, PollConfig, Secret
from exporter.simulator import SimulatedClock
from tests.support import DrivenClock, exporting, samples, total, value
from tests.wire import Asked, Wire, http

SEEDS = Path(__file__).parent.parent / "data" / "seeds"
PAGE_002 = (SEEDS / "002_36d56ea1a7bf3922.json").read_bytes()
PAGE_003 = (SEEDS / "003_f960412d6bc993f2.json").read_bytes()

STUDIO = {"provider": "livepeer", "account": "studio"}
TASK_002 = {**STUDIO, "task": "09F8B46C-61A0-4254-9875-F71F4C605BC7", "task_type": "upload"}
TASK_003 = {**STUDIO, "task": "$TASK_ID", "task_type": "import"}

POLL = PollConfig(min_poll_interval=0)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(lambda _: http(200, b"[]")) as wire:
        yield wire


def config(wire: Wire) -> LivepeerConfig:
    return LivepeerConfig(name="studio", api_key=Secret("0000"), base_url=f"{wire.url}/api", lookback=0)


def at(moment: float) -> SimulatedClock:
    return SimulatedClock(start=moment, speed=0.0)


def series(exporter: Exporter, task: dict[str, str]) -> dict[str, float]:
    """Every series of the task that has no labels but the task's, by its name without what all begin with."""
    return {
        sample.name.removeprefix("transcoding_task_"): sample.value
        for metric in exporter.registry.collect()
        for sample in metric.samples
        if sample.labels == task
    }


def test_given_the_page_of_the_list_when_scraped_as_it_appears_then_the_import_has_completed(
    wire: Wire,
) -> None:
    # It comes into sight a minute after it ended, and was not there at the first scrape.
    clock = at(1_644_546_541.229 - 60)
    with exporting(DrivenClock(clock), config(wire), poll=POLL) as exporter:
        exporter.refresh(10)
        clock.advance(120)
        wire.answering = lambda _: http(200, PAGE_003, "Content-Type: application/json")
        exporter.refresh(10)

        assert series(exporter, TASK_003) == {
            "progress_ratio": 1,
            "created_timestamp_seconds": 1_644_546_528.663,
            "updated_timestamp_seconds": 1_644_546_541.229,
            "finished_timestamp_seconds": 1_644_546_541.229,
            "last_change_timestamp_seconds": 1_644_546_541.229,
        }
        assert (
            value(exporter, "transcoding_task_phase", **TASK_003, phase="completed", state="completed") == 1
        )
        assert samples(exporter, "transcoding_task_info", **TASK_003) == {
            (("input_asset", ""), ("output_asset", "$ASSET_ID"), ("project", "")): 1
        }
        assert samples(exporter, "transcoding_tasks", task_type="import", phase="completed", **STUDIO) == {
            (("state", "completed"),): 1
        }
        assert total(exporter, "transcoding_tasks") == 1
        assert total(exporter, "transcoding_task_phase_entries_total") == 1
        assert total(exporter, "transcoding_retries_total") == 0
        assert total(exporter, "transcoding_task_failures_total") == 0
        assert total(exporter, "transcoding_api_errors_total") == 0
        assert value(exporter, "transcoding_up", **STUDIO) == 1


@pytest.mark.parametrize(("retention", "shown"), [(900.0, 0), (1000.0, 1)])
def test_given_the_page_of_the_list_when_first_scraped_then_it_is_history_shown_until_the_retention_ends(
    wire: Wire, retention: float, shown: int
) -> None:
    wire.answering = lambda _: http(200, PAGE_003, "Content-Type: application/json")
    clock = at(1_644_546_541.229 + 950)
    poll = PollConfig(min_poll_interval=0, retention=retention)
    with exporting(DrivenClock(clock), config(wire), poll=poll) as exporter:
        exporter.refresh(10)

        assert len(samples(exporter, "transcoding_task_phase", **TASK_003)) == shown
        assert total(exporter, "transcoding_tasks") == shown
        assert total(exporter, "transcoding_task_phase_entries_total") == 0


def test_given_the_page_of_the_list_when_scraped_years_later_then_it_is_read_without_an_error(
    wire: Wire,
) -> None:
    wire.answering = lambda _: http(200, PAGE_003)
    clock = at(1_795_294_800.0)
    long = PollConfig(min_poll_interval=0, retention=20 * 365 * 86400.0)
    with exporting(DrivenClock(clock), config(wire), poll=long) as exporter:
        exporter.refresh(10)
        assert series(exporter, TASK_003)["progress_ratio"] == 1
        assert total(exporter, "transcoding_api_errors_total") == 0


PENDING_002 = {
    "progress_ratio": 0.5,
    "retries": 3,
    "created_timestamp_seconds": 1_587_667_174.725,
    "scheduled_timestamp_seconds": 1_587_667_174.725,
    "updated_timestamp_seconds": 1_587_667_174.725,
    "last_change_timestamp_seconds": 1_587_667_174.725,
    "stalled": 0,
}


def assert_as_on_page_002(exporter: Exporter) -> None:
    asset = TASK_002["task"]
    assert series(exporter, TASK_002) == PENDING_002
    assert value(exporter, "transcoding_task_phase", **TASK_002, phase="pending", state="queued") == 1
    assert samples(exporter, "transcoding_task_info", **TASK_002) == {
        (("input_asset", asset), ("output_asset", asset), ("project", "")): 1
    }
    # It waits for its file: nobody is late.
    assert samples(exporter, "transcoding_oldest_active_task_created_timestamp_seconds", **STUDIO) == {}
    # Its errorMessage is that of a retry: it has not failed.
    assert total(exporter, "transcoding_task_failures_total") == 0


def test_given_the_task_of_the_other_page_in_a_list_when_scraped_then_it_is_pending_with_its_retries(
    wire: Wire,
) -> None:
    wire.answering = lambda _: http(200, b"[" + PAGE_002 + b"]")
    with exporting(DrivenClock(at(1_587_667_200.0)), config(wire), poll=POLL) as exporter:
        exporter.refresh(10)

        assert_as_on_page_002(exporter)
        assert samples(exporter, "transcoding_retries_total", **STUDIO, task_type="upload") == {(): 3}
        assert samples(
            exporter, "transcoding_task_phase_entries_total", **STUDIO, task_type="upload", phase="pending"
        ) == {(("state", "queued"),): 1}


def test_given_the_other_page_when_the_task_is_asked_about_alone_then_it_is_what_the_page_says(
    wire: Wire,
) -> None:
    def answering(asked: Asked) -> bytes:
        if asked.path == f"/api/task/{TASK_002['task']}":
            return http(200, PAGE_002, "Content-Type: application/json")
        return http(200, listed)

    before = (
        b'[{"id": "%s", "type": "upload", "createdAt": 1587667174725,'
        b' "status": {"phase": "pending", "updatedAt": 1587667174725}}]' % TASK_002["task"].encode()
    )
    listed = before
    wire.answering = answering
    clock = at(1_587_667_200.0)
    with exporting(DrivenClock(clock), config(wire), poll=POLL) as exporter:
        exporter.refresh(10)
        assert "retries" not in series(exporter, TASK_002)

        listed = b"[]"
        clock.advance(601)
        exporter.refresh(10)

        assert_as_on_page_002(exporter)
        assert total(exporter, "transcoding_api_errors_total") == 0
