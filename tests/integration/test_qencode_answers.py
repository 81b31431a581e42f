"""Every oddity of Qencode's status object, and the series that it becomes."""

from collections.abc import Callable

import pytest

from exporter.simulator import Fault, FaultKind, Simulator
from tests.qencode_support import VOD, entries, phase, progress, scrape, up
from tests.support import DrivenClock, exporting, qencode_config, samples, total, value

TYPE = {**VOD, "task_type": "transcode"}


@pytest.mark.parametrize(
    ("percent", "ratio"),
    [
        (8.3743842364532011, 0.083743842364532011),
        (7, 0.07),
        ("68.97", 0.6897),
        ("12", 0.12),
        (0, 0.0),
        (100, 1.0),
        (250, 1.0),
        (-3, 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
    ],
)
def test_given_a_percent_then_progress_is_a_ratio_or_left_out(
    simulator: Simulator, clock: DrivenClock, percent: object, ratio: float | None
) -> None:
    token = simulator.qencode.add("encoding", wire={"percent": percent})
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        for _ in range(2):
            scrape(exporter, simulator)
            assert progress(exporter, token) == (None if ratio is None else pytest.approx(ratio))
            assert phase(exporter, token) == ("encoding", "running")


@pytest.mark.parametrize("missing", ["percent", "error", "error_description", "images", "videos", "warnings"])
def test_given_a_missing_field_then_the_rest_is_used(
    simulator: Simulator, clock: DrivenClock, missing: str
) -> None:
    token = simulator.qencode.add("encoding", percent=50.0, without=frozenset({missing}))
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)

        assert phase(exporter, token) == ("encoding", "running")
        assert progress(exporter, token) == (None if missing == "percent" else 0.5)
        assert up(exporter) == 1


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *[("created", "queued"), ("queued", "queued")],
        *[("started", "running"), ("downloading", "running"), ("encoding", "running")],
        *[("processing", "running"), ("saving", "running")],
        *[("completed", "completed"), ("saved", "completed")],
        *[("error", "failed"), ("failed", "failed"), ("restarted", "failed")],
        ("meditating", "unknown"),
    ],
)
@pytest.mark.parametrize("spelling", [str.lower, str.capitalize, str.upper])
def test_given_a_status_in_any_case_then_it_is_the_phase_and_has_its_state(
    simulator: Simulator, clock: DrivenClock, word: str, state: str, spelling: Callable[[str], str]
) -> None:
    token = simulator.qencode.add(spelling(word))
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)

        assert phase(exporter, token) == (word, state)


@pytest.mark.parametrize("flag", [1, "1", True, "true"])
def test_given_the_error_flag_beside_encoding_then_the_task_failed_in_that_phase(
    simulator: Simulator, clock: DrivenClock, flag: object
) -> None:
    token = simulator.qencode.add("encoding", percent=40.0)
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.fail(token, "Error decoding the source", phase=None)
        simulator.qencode.set(token, wire={"error": flag})
        scrape(exporter, simulator)

        assert phase(exporter, token) == ("encoding", "failed")
        assert entries(exporter) == {"encoding": 1, "encoding!": 1}
        assert value(exporter, "transcoding_task_failures_total", **TYPE, reason="source_media") == 1
        assert scrape(exporter, simulator) == [], "a failed task is asked about no more"
        assert total(exporter, "transcoding_task_failures_total", **TYPE) == 1


@pytest.mark.parametrize("flag", [0, "0", None, False, "false", ""])
def test_given_no_error_flag_in_any_spelling_then_the_task_goes_on(
    simulator: Simulator, clock: DrivenClock, flag: object
) -> None:
    token = simulator.qencode.add("encoding", wire={"error": flag})
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)
        assert phase(exporter, token) == ("encoding", "running")


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("Failed to download source: HTTP 404", "source_download"),
        ("Error downloading file from server", "source_download"),
        ("HTTP 503 Service Unavailable", "source_download"),
        ("Unsupported codec", "source_media"),
        ("Invalid input: no video streams found", "source_media"),
        ("The source file is corrupt", "source_media"),
        ("Upload to S3 failed: 503", "destination"),
        ("Permission denied for bucket vod", "destination"),
        ("No space left on device", "resources"),
        ("Encoder killed: out of memory", "resources"),
        ("Can not stitch videos", "stitch"),
        ("Widevine key server did not answer", "drm"),
        ("Something went wrong", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_given_a_failed_task_then_it_is_counted_once_by_the_class_of_its_reason(
    simulator: Simulator, clock: DrivenClock, description: str | None, reason: str
) -> None:
    token = simulator.qencode.add("downloading")
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.set(token, "error", error=True, description=description)
        for _ in range(3):
            scrape(exporter, simulator)

        counted = samples(exporter, "transcoding_task_failures_total", **TYPE)
        assert {key: number for key, number in counted.items() if number} == {(("reason", reason),): 1}


def test_given_a_restarted_task_then_it_failed_and_its_retry_is_counted_once(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding")
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.restart(token, "Encoder killed: out of memory")
        for _ in range(3):
            scrape(exporter, simulator)

        assert phase(exporter, token) == ("restarted", "failed")
        assert value(exporter, "transcoding_retries_total", **TYPE) == 1
        assert value(exporter, "transcoding_task_retries", **TYPE, task=token) == 1
        assert value(exporter, "transcoding_task_failures_total", **TYPE, reason="resources") == 1
        assert value(exporter, "transcoding_task_warnings_total", **TYPE) == 1


def test_given_warnings_then_each_is_counted_once_though_only_the_master_tells_them(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding", master=1, percent=10.0)

    def warnings() -> float | None:
        return value(exporter, "transcoding_task_warnings_total", **TYPE)

    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.warn(token, "Audio is missing", tag="audio-0-0")
        simulator.qencode.warn(token, "Low bitrate")
        scrape(exporter, simulator)
        scrape(exporter, simulator)
        assert warnings() == 2

        simulator.faults.set("qencode_master_1", Fault(FaultKind.SERVER_ERROR, status=500))
        simulator.qencode.set(token, percent=50.0)
        scrape(exporter, simulator)
        assert progress(exporter, token) == 0.5
        simulator.faults.clear()
        simulator.clock.advance(60)
        simulator.qencode.warn(token, "Low bitrate, still")
        scrape(exporter, simulator)
        assert warnings() == 3


@pytest.mark.parametrize("warnings", [{}, {"1": {"message": "a gap in a list"}}, None, "none", 7])
def test_given_warnings_that_are_no_list_then_the_status_is_used_all_the_same(
    simulator: Simulator, clock: DrivenClock, warnings: object
) -> None:
    token = simulator.qencode.add("encoding", percent=50.0, wire={"warnings": warnings})
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)

        assert progress(exporter, token) == 0.5
        assert value(exporter, "transcoding_task_warnings_total", **TYPE) == len(
            warnings if isinstance(warnings, dict) else ()
        )


def test_given_more_unknown_statuses_than_fit_then_16_have_names_and_the_rest_are_other(
    simulator: Simulator, clock: DrivenClock
) -> None:
    tokens = [simulator.qencode.add(f"mood {number}") for number in range(10)]
    tokens += [simulator.qencode.add("encoding") for _ in range(10)]
    with exporting(clock, qencode_config(simulator, *tokens)) as exporter:
        scrape(exporter, simulator)
        for number in range(10, 20):
            simulator.qencode.set(tokens[number], f"mood {number}")
        scrape(exporter, simulator)

        shown = [phase(exporter, token) for token in tokens]
        assert all(found is not None and found[1] == "unknown" for found in shown)
        words = [found[0] for found in shown if found]
        assert len(set(words) - {"other"}) == 16
        assert words.count("other") == 4
        assert words[:10] == [f"mood {number}" for number in range(10)]
        assert total(exporter, "transcoding_tasks", **TYPE, state="unknown") == 20


def test_given_a_task_that_comes_back_from_an_unknown_status_then_it_is_followed_on(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding", percent=10.0)
    with exporting(clock, qencode_config(simulator, token)) as exporter:
        scrape(exporter, simulator)
        simulator.qencode.set(token, "meditating")
        scrape(exporter, simulator)
        assert phase(exporter, token) == ("meditating", "unknown")
        simulator.qencode.complete(token)
        scrape(exporter, simulator)

        assert entries(exporter) == {"encoding": 1, "meditating": 1, "completed": 1}
        assert (phase(exporter, token), progress(exporter, token)) == (("completed", "completed"), 1)
