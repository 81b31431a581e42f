"""A scrape, from the HTTP request to the providers and back."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from exporter.assembly import Exporter
from exporter.clock import SystemClock
from exporter.config import MetricsConfig, PollConfig
from exporter.server.http_server import create_server
from exporter.server.listen import TcpAddress
from exporter.simulator import Fault, FaultKind, SimulatedClock, Simulator
from exporter.web.app import Site, create_app
from tests.idle import Idle
from tests.scraping import Scrape, read, scrape
from tests.support import DrivenClock, exporting, livepeer_config, qencode_config

VOD = {"provider": "qencode", "account": "vod"}
STUDIO = {"provider": "livepeer", "account": "studio"}
EVERY_SCRAPE = PollConfig(min_poll_interval=0)


@contextmanager
def serving(exporter: Exporter) -> Iterator[str]:
    """The URL of the metrics, served on a free port."""
    site = Site(exporter.exposition.render, exporter.refresh, Idle())
    server = create_server(create_app(site), TcpAddress("127.0.0.1", 0))
    server.start()
    try:
        yield f"{server.urls[0]}/metrics"
    finally:
        assert server.leave(10)


def ask(exporter: Exporter) -> Scrape:
    """Scrape without a server; for tests in which no time passes."""
    site = Site(exporter.exposition.render, exporter.refresh, Idle())
    started = time.monotonic()
    answer = create_app(site).test_client().get("/metrics")
    return Scrape(answer.status_code, time.monotonic() - started, read(answer.text))


@dataclass(frozen=True)
class Services:
    """Both services with a task each, at the present."""

    simulator: Simulator
    job: str
    upload: str

    @contextmanager
    def scraped(self, poll: PollConfig = EVERY_SCRAPE) -> Iterator[Callable[..., Scrape]]:
        """Serve both accounts; scrape them with a time-out in seconds."""
        vod = qencode_config(self.simulator, self.job)
        studio = livepeer_config(self.simulator)
        with exporting(SystemClock(), vod, studio, poll=poll) as exporter, serving(exporter) as url:
            yield lambda timeout="10": scrape(url, timeout)

    def progress(self, scraped: Scrape) -> tuple[float | None, float | None]:
        """What a scrape tells of the job and of the upload."""
        job = VOD | {"task": self.job, "task_type": "transcode"}
        upload = STUDIO | {"task": self.upload, "task_type": "upload"}
        name = "transcoding_task_progress_ratio"
        return scraped.value(name, **job), scraped.value(name, **upload)


@pytest.fixture
def services() -> Iterator[Services]:
    with Simulator(clock=SimulatedClock()) as simulator:
        job = simulator.qencode.add("encoding", percent=10.0)
        upload = simulator.livepeer.account.add("upload")
        simulator.livepeer.account.progress(upload, 0.1)
        yield Services(simulator, job, upload)


# --- Deadlines -------------------------------------------------------------------------------------


def test_given_an_account_that_hangs_when_scraped_then_the_answer_comes_in_time_with_all_others(
    services: Services,
) -> None:
    with services.scraped() as scraped:
        assert services.progress(scraped()) == (0.1, 0.1)
        services.simulator.qencode.set(services.job, percent=60.0)
        services.simulator.livepeer.account.progress(services.upload, 0.6)
        services.simulator.faults.set("livepeer", Fault(FaultKind.HANG))

        answer = scraped("2")

        assert answer.status == 200
        assert answer.seconds < 2.0
        assert services.progress(answer) == (0.6, 0.1)
        assert answer.value("transcoding_up", **VOD) == 1
        assert answer.value("transcoding_up", **STUDIO) == 0
        assert answer.value("transcoding_polls_total", **STUDIO, outcome="deadline") == 1


def test_given_a_poll_that_is_late_when_scraped_again_then_that_poll_serves_the_second_scrape(
    services: Services,
) -> None:
    services.simulator.faults.set("livepeer", Fault(FaultKind.DELAY, seconds=1.5))
    with services.scraped() as scraped:
        first = scraped("1")
        second = scraped("10")

    assert first.seconds < 1.0
    assert services.progress(first) == (0.1, None)
    assert first.value("transcoding_up", **STUDIO) == 0
    assert services.progress(second) == (0.1, 0.1)
    assert second.value("transcoding_up", **STUDIO) == 1
    assert len(services.simulator.requests.to("livepeer")) == 1
    assert second.by("outcome", "transcoding_polls_total", **STUDIO) == {
        "deadline": 1,
        "success": 0,
        "partial": 0,
        "error": 0,
        "skipped": 0,
    }
    assert second.value("transcoding_poll_duration_seconds_count", **STUDIO) == 1


def test_given_an_account_that_hangs_when_scraped_often_then_its_one_poll_is_counted_once(
    services: Services,
) -> None:
    services.simulator.faults.set("livepeer", Fault(FaultKind.HANG))
    with services.scraped() as scraped:
        for _ in range(3):
            answer = scraped("0.6")

    assert answer.value("transcoding_up", **STUDIO) == 0
    assert answer.total("transcoding_polls_total", **STUDIO) == 1
    assert len(services.simulator.requests.to("livepeer")) == 1


def test_given_a_provider_that_hangs_from_the_start_when_scraped_then_every_counter_is_there_at_zero(
    services: Services,
) -> None:
    services.simulator.faults.set("livepeer", Fault(FaultKind.HANG))
    services.simulator.faults.set("qencode_api", Fault(FaultKind.HANG))

    with services.scraped() as scraped:
        answer = scraped("1")

    assert (answer.status, answer.seconds < 1.0) == (200, True)
    for labels in (
        VOD | {"task_type": "transcode", "phase": "encoding", "state": "running"},
        VOD | {"task_type": "transcode", "phase": "encoding", "state": "failed"},
        VOD | {"task_type": "transcode", "phase": "completed", "state": "completed"},
        STUDIO | {"task_type": "upload", "phase": "waiting", "state": "queued"},
        STUDIO | {"task_type": "clip", "phase": "cancelled", "state": "cancelled"},
    ):
        assert answer.value("transcoding_task_phase_entries_total", **labels) == 0
        assert answer.value("transcoding_tasks", **labels) == 0
    for account, task_type in ((VOD, "transcode"), (STUDIO, "upload"), (STUDIO, "export-data")):
        labels = {**account, "task_type": task_type}
        assert answer.value("transcoding_retries_total", **labels) == 0
        assert answer.value("transcoding_task_warnings_total", **labels) == 0
        assert answer.value("transcoding_task_failures_total", **labels, reason="unknown") == 0
        assert answer.value("transcoding_task_failures_total", **labels, reason="source_download") == 0
    for account, endpoint in ((VOD, "qencode_api"), (VOD, "qencode_master"), (STUDIO, "livepeer_list")):
        labels = {**account, "endpoint": endpoint}
        assert answer.value("transcoding_api_errors_total", **labels, reason="timeout") == 0
        assert answer.value("transcoding_api_requests_total", **labels, code="200") == 0
    assert answer.by("provider", "transcoding_up") == {"qencode": 0, "livepeer": 0}


@pytest.mark.parametrize("header", ["soon", "-3", "1e10", "1e400"])
def test_given_a_time_out_that_makes_no_sense_when_scraped_then_it_answers_as_ever(
    services: Services, header: str
) -> None:
    with services.scraped() as scraped:
        answer = scraped(header)

    assert answer.status == 200
    assert services.progress(answer) == (0.1, 0.1)


# --- How often the providers are asked ---------------------------------------------------------------


def test_given_two_scrapes_at_once_when_they_are_answered_then_there_was_one_poll(services: Services) -> None:
    services.simulator.faults.set("livepeer", Fault(FaultKind.DELAY, seconds=0.5))
    services.simulator.faults.set("qencode_api", Fault(FaultKind.DELAY, seconds=0.5))

    with services.scraped() as scraped, ThreadPoolExecutor() as threads:
        first = threads.submit(scraped)
        second = threads.submit(scraped)
        answers = first.result(), second.result()

    assert [services.progress(answer) for answer in answers] == [(0.1, 0.1), (0.1, 0.1)]
    assert len(services.simulator.requests.to("livepeer")) == 1
    assert len(services.simulator.requests.to("qencode")) == 1
    for account in (VOD, STUDIO):
        assert answers[1].total("transcoding_polls_total", **account) == 1


def test_given_a_pair_of_prometheus_servers_when_both_scrape_then_the_second_costs_no_call(
    simulator: Simulator, clock: DrivenClock
) -> None:
    job = simulator.qencode.add("queued")
    with exporting(clock, qencode_config(simulator, job), livepeer_config(simulator)) as exporter:
        ask(exporter)
        simulator.requests.clear()

        simulator.clock.advance(4.9)
        second = ask(exporter)
        assert len(simulator.requests) == 0
        assert second.total("transcoding_polls_total") == 2

        simulator.clock.advance(0.1)
        third = ask(exporter)
        assert {request.target for request in simulator.requests} >= {"livepeer_list"}
        assert third.total("transcoding_polls_total") == 4


# --- Accounts that are down --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (FaultKind.SERVER_ERROR, "server"),
        (FaultKind.RESET, "connection"),
        (FaultKind.EMPTY, "invalid_response"),
        (FaultKind.RATE_LIMITED, "rate_limited"),
    ],
)
def test_given_all_accounts_are_down_when_scraped_then_the_answer_is_200_and_says_why(
    services: Services, kind: FaultKind, reason: str
) -> None:
    with services.scraped() as scraped:
        scraped()
        for target in ("livepeer", "qencode_api", "qencode_master"):
            services.simulator.faults.set(target, Fault(kind))

        answer = scraped()

    assert answer.status == 200
    assert services.progress(answer) == (0.1, 0.1)
    assert answer.by("provider", "transcoding_up") == {"qencode": 0, "livepeer": 0}
    for account in (VOD, STUDIO):
        assert answer.total("transcoding_api_errors_total", **account, reason=reason) >= 1
        assert answer.value("transcoding_polls_total", **account, outcome="error") == 1


def test_given_an_account_that_was_down_when_it_is_back_then_it_is_up_with_fresh_tasks(
    services: Services,
) -> None:
    with services.scraped() as scraped:
        services.simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR))
        assert scraped().value("transcoding_up", **STUDIO) == 0
        services.simulator.faults.clear()

        answer = scraped()

    assert answer.value("transcoding_up", **STUDIO) == 1
    assert services.progress(answer) == (0.1, 0.1)


# --- Series ------------------------------------------------------------------------------------------


def test_given_a_task_that_ended_when_the_retention_is_over_then_its_series_are_gone(
    simulator: Simulator, clock: DrivenClock
) -> None:
    job = simulator.qencode.add("encoding", percent=90.0)
    upload = simulator.livepeer.account.add("upload")
    poll = PollConfig(min_poll_interval=0, retention=900.0)
    with exporting(clock, qencode_config(simulator, job), livepeer_config(simulator), poll=poll) as exporter:
        ask(exporter)
        simulator.qencode.complete(job)
        simulator.livepeer.account.complete(upload)
        ended = ask(exporter)
        simulator.clock.advance(899)
        kept = ask(exporter)
        simulator.clock.advance(2)
        gone = ask(exporter)

    for answer in (ended, kept):
        assert answer.by("task", "transcoding_task_progress_ratio") == {job: 1, upload: 1}
        assert answer.by("provider", "transcoding_tasks") == {"qencode": 1, "livepeer": 1}
    of_tasks = {
        name
        for name, samples in gone.samples.items()
        if any(label == "task" for labels in samples for label, _ in labels)
    }
    assert of_tasks == set()
    assert gone.by("provider", "transcoding_tasks") == {"qencode": 0, "livepeer": 0}
    entered = gone.by("provider", "transcoding_task_phase_entries_total", state="completed")
    assert entered == {"qencode": 1, "livepeer": 1}


def test_given_more_tasks_than_may_have_series_when_scraped_then_the_active_and_newest_have_them(
    simulator: Simulator, clock: DrivenClock
) -> None:
    account = simulator.livepeer.account
    uploads = []
    for _ in range(5):
        uploads.append(account.add("upload"))
        account.progress(uploads[-1], 0.5)
        simulator.clock.advance(1)
    account.complete(uploads[4])
    few, some = MetricsConfig(max_task_series=3), MetricsConfig(max_task_series=4)

    with exporting(clock, livepeer_config(simulator), metrics=few) as exporter:
        three = ask(exporter)
    with exporting(clock, livepeer_config(simulator), metrics=some) as exporter:
        four = ask(exporter)

    assert set(three.by("task", "transcoding_task_info")) == set(uploads[1:4])
    assert three.value("transcoding_task_series_dropped") == 1
    assert set(four.by("task", "transcoding_task_info")) == set(uploads[:4])
    assert four.value("transcoding_task_series_dropped") == 0
    for answer in (three, four):
        assert answer.total("transcoding_tasks") == 5


def test_given_no_series_of_single_tasks_wanted_when_scraped_then_the_fleets_are_all_there_are(
    simulator: Simulator, clock: DrivenClock
) -> None:
    job = simulator.qencode.add("encoding", percent=10.0)
    fleet = MetricsConfig(per_task=False)
    with exporting(clock, qencode_config(simulator, job), metrics=fleet) as exporter:
        answer = ask(exporter)

    assert answer.total("transcoding_tasks", phase="encoding", state="running") == 1
    assert answer.value("transcoding_task_series_dropped") == 0
    labels = {label for samples in answer.samples.values() for found in samples for label, _ in found}
    assert "task" not in labels
