"""What the vendor's server really answered, byte for byte over real HTTP, becomes the right series."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.assembly import Exporter
from exporter.config import LivepeerConfig, PollConfig, Secret
from exporter.simulator import SimulatedClock, Simulator
from tests.support import START, DrivenClock, exporting, livepeer_config, samples, total, value
from tests.wire import Asked, Wire

RECORDED = Path(__file__).parent.parent / "data" / "livepeer"
EACH = RECORDED / "one-of-each-type-and-phase.json"

RECORDED_AT = START + 260
"""The moment that the recorded answers bear in their Date."""

KEY = "not-a-key-123"
STUDIO = {"provider": "livepeer", "account": "studio"}
LIST = {**STUDIO, "endpoint": "livepeer_list"}

POLL = PollConfig(min_poll_interval=0, retention=400 * 86400.0)

STATES = {
    "pending": "queued",
    "waiting": "queued",
    "running": "running",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.http").read_bytes()


def records(name: str) -> Any:
    return json.loads(recorded(name).split(b"\r\n\r\n", 1)[1])


@pytest.fixture
def clock() -> DrivenClock:
    return DrivenClock(SimulatedClock(start=RECORDED_AT, speed=0.0))


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(lambda _: recorded("list-empty")) as wire:
        yield wire


def config(wire: Wire) -> LivepeerConfig:
    return LivepeerConfig(name="studio", api_key=Secret(KEY), base_url=f"{wire.url}/api", lookback=0)


def expected_series(record: dict[str, Any]) -> dict[str, float]:
    """What the series of a task seen for the first time are, but for those with labels of their own."""
    status, phase = record["status"], record["status"]["phase"]
    ended = phase in ("completed", "failed", "cancelled")
    values = {
        "progress_ratio": 1 if phase == "completed" else status.get("progress"),
        "retries": status.get("retries"),
        "created_timestamp_seconds": record["createdAt"] / 1000,
        "scheduled_timestamp_seconds": record["scheduledAt"] / 1000 if "scheduledAt" in record else None,
        "updated_timestamp_seconds": status["updatedAt"] / 1000,
        "finished_timestamp_seconds": status["updatedAt"] / 1000 if ended else None,
        "last_change_timestamp_seconds": status["updatedAt"] / 1000,
    }
    return {name: number for name, number in values.items() if number is not None}


def assert_series(exporter: Exporter, expected: list[dict[str, Any]]) -> None:
    """The exporter shows these tasks, and nothing else."""
    for record in expected:
        phase = record["status"]["phase"]
        task = {**STUDIO, "task": record["id"], "task_type": record["type"]}
        shown = {
            sample.name.removeprefix("transcoding_task_"): sample.value
            for metric in exporter.registry.collect()
            for sample in metric.samples
            if sample.labels == task
        }
        # Whether it is stalled depends on when the page was recorded.
        active = phase not in ("completed", "failed", "cancelled")
        assert (shown.pop("stalled", None) is not None) is active
        assert shown == expected_series(record)
        assert samples(exporter, "transcoding_task_phase", **task) == {
            (("phase", phase), ("state", STATES[phase])): 1
        }
        assert samples(exporter, "transcoding_task_info", **task) == {
            (
                ("input_asset", record.get("inputAssetId", "")),
                ("output_asset", record.get("outputAssetId", "")),
                ("project", record.get("projectId", "")),
            ): 1
        }
    fleet = Counter(
        (("phase", phase), ("state", STATES[phase]), ("task_type", record["type"]))
        for record in expected
        for phase in [record["status"]["phase"]]
    )
    found = samples(exporter, "transcoding_tasks", **STUDIO)
    assert {labels: number for labels, number in found.items() if number} == fleet


# --- Lists -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["list-default", "list-exactly-20"])
def test_given_a_recorded_page_of_20_with_a_link_when_scraped_then_its_cursor_is_asked_for_at_our_own_address(
    wire: Wire, clock: DrivenClock, name: str
) -> None:
    # The recordings were made without parameters: a server that refuses ours leads to them.
    def answering(asked: Asked) -> bytes:
        if "filters" in asked.query:
            return recorded("error-unknown-filter")
        return recorded("list-past-the-end" if "cursor" in asked.query else name)

    wire.answering = answering
    with exporting(clock, config(wire), poll=POLL) as exporter:
        exporter.refresh(10)

        assert_series(exporter, records(name))
        assert value(exporter, "transcoding_up", **STUDIO) == 1
        assert value(exporter, "transcoding_api_errors_total", **LIST, reason="client") == 1
        assert total(exporter, "transcoding_api_errors_total") == 1
    assert [asked.query.get("cursor") for asked in wire.asked] == [None, None, "skip20"]
    assert {asked.path for asked in wire.asked} == {"/api/task"}
    assert wire.connections == 1


@pytest.mark.parametrize("name", ["list-lifecycle", "list-short-last-page"])
def test_given_a_recorded_last_page_when_scraped_then_its_undefined_link_is_not_followed(
    wire: Wire, clock: DrivenClock, name: str
) -> None:
    wire.answering = lambda asked: recorded("error-unknown-filter" if "filters" in asked.query else name)
    with exporting(clock, config(wire), poll=POLL) as exporter:
        exporter.refresh(10)

        assert_series(exporter, records(name))
    assert len(wire.asked) == 2


def test_given_the_recorded_life_cycle_when_scraped_as_it_goes_on_then_each_event_counts_once(
    wire: Wire,
) -> None:
    # Watched from before the first of its tasks, so that none is history.
    clock = DrivenClock(SimulatedClock(start=1_795_293_900.0, speed=0.0))
    with exporting(clock, config(wire), poll=POLL) as exporter:
        exporter.refresh(10)
        clock.simulated.advance(RECORDED_AT - clock.time())
        wire.answering = lambda asked: recorded(
            "error-unknown-filter" if "filters" in asked.query else "list-lifecycle"
        )
        for _ in range(3):
            exporter.refresh(10)

        entered = samples(exporter, "transcoding_task_phase_entries_total", **STUDIO)
        assert {
            tuple(value for _, value in labels): number for labels, number in entered.items() if number
        } == {
            ("completed", "completed", "transcode-file"): 2,
            ("failed", "failed", "upload"): 1,
            ("waiting", "queued", "transcode-file"): 2,
        }
        assert total(exporter, "transcoding_retries_total", task_type="upload") == 1
        assert total(exporter, "transcoding_retries_total", task_type="transcode-file") == 1
        assert total(exporter, "transcoding_task_failures_total", task_type="upload") == 1
        assert total(exporter, "transcoding_task_failures_total") == 1


@pytest.mark.parametrize("name", ["list-empty", "list-past-the-end", "list-cursor-undefined"])
def test_given_a_recorded_empty_list_when_scraped_then_the_account_is_up_and_has_no_task(
    wire: Wire, clock: DrivenClock, name: str
) -> None:
    wire.answering = lambda _: recorded(name)
    with exporting(clock, config(wire), poll=POLL) as exporter:
        exporter.refresh(10)

        assert_series(exporter, [])
        assert value(exporter, "transcoding_up", **STUDIO) == 1
        assert value(exporter, "transcoding_polls_total", **STUDIO, outcome="success") == 1
        assert total(exporter, "transcoding_api_errors_total") == 0
    assert len(wire.asked) == 1


def test_given_one_recorded_task_of_each_type_and_phase_when_scraped_then_each_has_its_series(
    simulator: Simulator,
) -> None:
    simulator.livepeer.account.load(EACH.read_bytes())
    simulator.clock.advance(600)
    clock = DrivenClock(simulator.clock)
    with exporting(clock, livepeer_config(simulator, lookback=0), poll=POLL) as exporter:
        exporter.refresh(10)

        assert_series(exporter, json.loads(EACH.read_text()))
        assert total(exporter, "transcoding_api_errors_total") == 0
    assert len(simulator.requests.to("livepeer")) == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("file has zero duration", "source_media"),
        ("max retries reached: catalyst pipeline error", "unknown"),
        ('unsupported input: "quoted" é\u2028 text', "source_media"),
    ],
)
def test_given_the_recorded_error_messages_when_a_task_fails_then_they_are_counted_by_class(
    simulator: Simulator, clock: DrivenClock, message: str, reason: str
) -> None:
    assert message in {record["status"].get("errorMessage") for record in json.loads(EACH.read_text())}
    with exporting(
        DrivenClock(simulator.clock), livepeer_config(simulator), poll=PollConfig(min_poll_interval=0)
    ) as exporter:
        exporter.refresh(10)
        simulator.clock.advance(1)
        task = simulator.livepeer.account.add("export-data")
        simulator.livepeer.account.fail(task, message)
        exporter.refresh(10)

        failures = samples(exporter, "transcoding_task_failures_total", **STUDIO, task_type="export-data")
        assert {labels for labels, number in failures.items() if number} == {(("reason", reason),)}


# --- Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("error-no-auth", "auth", "HTTP 401"),
        ("error-wrong-key", "auth", "no token *** found"),
        ("error-suspended", "auth", "user is suspended"),
        ("error-not-found", "client", "HTTP 404"),
        ("error-unknown-filter", "client", "error parsing filters"),
        ("error-one-bad-record", "server", "Cannot read properties of undefined"),
        ("error-time-as-text", "server", "Internal server error"),
    ],
)
def test_given_a_recorded_error_when_scraped_then_the_account_is_down_for_that_reason_and_the_key_is_nowhere(
    wire: Wire,
    clock: DrivenClock,
    capfd: pytest.CaptureFixture[str],
    name: str,
    reason: str,
    words: str,
) -> None:
    wire.answering = lambda _: recorded(name)
    with exporting(clock, config(wire), poll=POLL) as exporter:
        exporter.refresh(10)

        assert value(exporter, "transcoding_up", **STUDIO) == 0
        assert value(exporter, "transcoding_polls_total", **STUDIO, outcome="error") == 1
        errors = samples(exporter, "transcoding_api_errors_total", **LIST)
        # Each question that was asked failed, and each for the same reason.
        assert {labels: number for labels, number in errors.items() if number} == {
            (("reason", reason),): len(wire.asked)
        }
        metrics = str(list(exporter.registry.collect()))
    out, err = capfd.readouterr()
    assert words in out + err
    assert KEY not in out + err + metrics


def test_given_a_recorded_404_when_a_silent_task_is_asked_about_then_it_is_gone(
    wire: Wire, clock: DrivenClock
) -> None:
    wire.answering = lambda asked: recorded("error-unknown-filter" if "filters" in asked.query else name)
    name = "list-lifecycle"
    simulated = SimulatedClock(start=START, speed=0.0)
    with exporting(DrivenClock(simulated), config(wire), poll=POLL) as exporter:
        exporter.refresh(10)
        assert total(exporter, "transcoding_tasks", phase="waiting") == 2

        wire.answering = lambda asked: recorded(
            "list-empty" if asked.path == "/api/task" else "error-not-found"
        )
        simulated.advance(601)
        exporter.refresh(10)

        assert total(exporter, "transcoding_tasks", phase="waiting") == 0
        assert total(exporter, "transcoding_tasks") == 3
        assert value(exporter, "transcoding_up", **STUDIO) == 1
        assert total(exporter, "transcoding_api_errors_total", endpoint="livepeer_task") == 0
