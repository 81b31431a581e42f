"""What an OpenMetrics scrape says about the fleet: buckets as configured, exemplars, and what was made."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.samples import Sample

from exporter.assembly import Exporter
from exporter.config import MetricsConfig, PollConfig
from exporter.simulator import OutputKind, QencodeOutput, Simulator
from tests.scraping import openmetrics_families
from tests.support import START, DrivenClock, exporting, livepeer_config, qencode_config

MINUTE = 60.0
BOUNDS = MetricsConfig(duration_buckets=(60.0, 240.0, 900.0), phase_duration_buckets=(30.0, 45.5))


@contextmanager
def watched(simulator: Simulator, clock: DrivenClock, *tokens: str) -> Iterator[Exporter]:
    with exporting(
        *(clock, livepeer_config(simulator), qencode_config(simulator, *tokens)),
        poll=PollConfig(min_poll_interval=0.0),
        metrics=BOUNDS,
    ) as exporter:
        yield exporter


def scraped(exporter: Exporter) -> dict[str, Metric]:
    exporter.refresh(10)
    text: bytes = generate_latest(exporter.registry)  # type: ignore[no-untyped-call]
    return openmetrics_families(text.decode())


def found(family: Metric, **labels: str) -> list[Sample]:
    return [sample for sample in family.samples if labels.items() <= sample.labels.items()]


def values(family: Metric, label: str, **labels: str) -> dict[str, float]:
    """The values of the samples that have the given labels, by one label more; those at 0 left out."""
    return {s.labels[label]: s.value for s in found(family, **labels) if label in s.labels and s.value}


@pytest.fixture
def ended(simulator: Simulator, clock: DrivenClock) -> Iterator[tuple[Exporter, str, str]]:
    """An upload that failed after five minutes, and a job that completed after two, of which it ran one."""
    upload, job = simulator.livepeer.account.add("upload"), simulator.qencode.add("queued")
    with watched(simulator, clock, job) as exporter:
        exporter.refresh(10)
        simulator.clock.advance(MINUTE)
        simulator.qencode.set(job, "encoding")
        exporter.refresh(10)
        simulator.clock.advance(MINUTE)
        simulator.qencode.complete(job)
        exporter.refresh(10)
        simulator.clock.advance(3 * MINUTE)
        simulator.livepeer.account.fail(upload, "upload to s3 failed")
        yield exporter, upload, job


def test_histograms_have_the_configured_buckets(ended: tuple[Exporter, str, str]) -> None:
    exporter, _, _ = ended
    families = scraped(exporter)
    duration = families["transcoding_task_duration_seconds"]
    phases = families["transcoding_task_phase_duration_seconds"]
    assert values(duration, "le", provider="qencode", state="completed") == {
        "240.0": 1,
        "900.0": 1,
        "+Inf": 1,
    }
    assert values(duration, "le", task_type="upload", state="failed") == {"900.0": 1, "+Inf": 1}
    assert {sample.labels["le"] for sample in phases.samples if "le" in sample.labels} == {
        "30.0",
        "45.5",
        "+Inf",
    }
    assert values(phases, "le", provider="qencode", phase="encoding") == {"+Inf": 1}
    assert [
        (sample.name.rpartition("_")[2], sample.value)
        for sample in found(phases, provider="qencode", phase="encoding")
        if "le" not in sample.labels
    ] == [("count", 1), ("sum", 60)]


def test_failures_and_durations_name_the_last_task_and_when(ended: tuple[Exporter, str, str]) -> None:
    exporter, upload, job = ended
    families = scraped(exporter)
    (failure,) = found(families["transcoding_task_failures_total"], task_type="upload", reason="destination")
    assert failure.value == 1
    assert failure.exemplar
    assert failure.exemplar.labels == {"task": upload}
    assert failure.exemplar.timestamp is not None
    assert float(failure.exemplar.timestamp) == START + 5 * MINUTE

    buckets = found(families["transcoding_task_duration_seconds"], provider="qencode", state="completed")
    named = {sample.labels["le"]: sample.exemplar for sample in buckets if sample.exemplar}
    assert set(named) == {"240.0"}, "only the bucket that it fell into"
    assert named["240.0"].labels == {"task": job}
    assert named["240.0"].value == 2 * MINUTE
    assert float(named["240.0"].timestamp or 0) == START + 2 * MINUTE


def test_an_exemplar_is_dated_by_the_present_clock(ended: tuple[Exporter, str, str]) -> None:
    exporter, upload, _ = ended
    scraped(exporter)
    again = scraped(exporter)
    (failure,) = found(again["transcoding_task_failures_total"], task_type="upload", reason="destination")
    assert failure.exemplar
    assert failure.exemplar.labels == {"task": upload}


def test_a_completed_upload_has_made_its_asset_once(simulator: Simulator, clock: DrivenClock) -> None:
    upload = simulator.livepeer.account.add("upload")
    asset = {"size": 52_428_800, "videoSpec": {"duration": 62.5, "tracks": [{"type": "video"}]}}
    with watched(simulator, clock) as exporter:
        exporter.refresh(10)
        simulator.clock.advance(MINUTE)
        simulator.livepeer.account.complete(upload, {"upload": {"assetSpec": asset}})
        for _ in range(3):
            families = scraped(exporter)
            assert values(families["transcoding_output_seconds_total"], "kind") == {"video": 62.5}
            assert values(families["transcoding_output_bytes_total"], "kind") == {"video": 52_428_800}
            simulator.clock.advance(10)
            # The same is told anew, as of now.
            simulator.livepeer.account.set_status(upload, phase="completed")


def test_a_completed_job_has_made_outputs_of_every_kind_once(
    simulator: Simulator, clock: DrivenClock
) -> None:
    job = simulator.qencode.add("encoding")
    outputs = (
        QencodeOutput(OutputKind.VIDEO, "video-0-0", "480p", "a.mp4", duration="60.5", size=12.5),
        QencodeOutput(OutputKind.VIDEO, "video-1-0", "720p", "b.mp4", duration="60.5", size=25.0),
        QencodeOutput(OutputKind.AUDIO, "audio-0-0", "aac", "c.m4a", duration="61.0", size=1.0),
        QencodeOutput(OutputKind.IMAGE, "image-0-0", "thumb", "d.png", format=None, size=0.08),
        QencodeOutput(OutputKind.TEXT, "text-0-0", "subs", "e.vtt", size=0.002),
    )
    with watched(simulator, clock, job) as exporter:
        exporter.refresh(10)
        simulator.clock.advance(MINUTE)
        simulator.qencode.set(job, "completed", percent=100.0, outputs=outputs)
        for _ in range(3):
            families = scraped(exporter)
            assert values(families["transcoding_output_seconds_total"], "kind") == {
                "video": 121.0,
                "audio": 61.0,
            }
            assert values(families["transcoding_output_bytes_total"], "kind") == {
                "video": 37_500_000,
                "audio": 1_000_000,
                "image": 80_000,
                "text": 2_000,
            }
            simulator.clock.advance(10)
