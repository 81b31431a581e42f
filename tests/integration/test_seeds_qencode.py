"""The answers on the vendor's own pages, served byte for byte, become the series that a reader expects.

The pages are 000_c9399536e14a6692.txt and 001_307bfbfe05b73e3f.txt; see data/seeds/README.md.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from exporter.assembly import Exporter
from exporter.config import PollConfig, QencodeConfig
from exporter.metrics import families
from exporter.simulator import SimulatedClock
from tests.status_server import StatusServer
from tests.support import START, DrivenClock, exporting, samples, total, value

SEEDS = Path(__file__).parent.parent / "data" / "seeds"

PAGE_000 = "000_c9399536e14a6692"
PAGE_001 = "001_307bfbfe05b73e3f"

TOKEN_000 = "d4936f71a242d4b61d790efa217ff9d5"
TOKEN_001 = "a2600fc63e4511e8ac870202b56d93e3"

VOD = {"provider": "qencode", "account": "vod"}


@pytest.fixture
def simulated() -> SimulatedClock:
    return SimulatedClock(start=START, speed=0.0)


@pytest.fixture
def server() -> Iterator[StatusServer]:
    with StatusServer(lambda _: b"") as server:
        yield server


def printed(page: str, number: int) -> bytes:
    return (SEEDS / f"{page}-{number}.json").read_bytes()


def watching(server: StatusServer, token: str) -> QencodeConfig:
    """The status_url on the page names a host outside allowed_hosts: nobody is asked but `server`."""
    return QencodeConfig(name="vod", task_tokens=(token,), base_url=server.url, allowed_hosts=("127.0.0.1",))


def scrape(exporter: Exporter, server: StatusServer, answer: bytes) -> None:
    server.answering = lambda _: answer
    exporter.refresh(10)


def task_series(exporter: Exporter, token: str) -> dict[tuple[str, ...], float]:
    """Every series of the task: its name, and its labels beyond those of the task, with the value."""
    identity = {**VOD, "task": token, "task_type": "transcode"}
    return {
        (sample.name, *(sample.labels[key] for key in sample.labels if key not in identity)): sample.value
        for metric in exporter.registry.collect()
        for sample in metric.samples
        if identity.items() <= sample.labels.items()
    }


def not_zero(exporter: Exporter, name: str) -> dict[tuple[str, str], float]:
    """The (phase, state) of the fleet's samples that are not 0."""
    found = samples(exporter, name, **VOD, task_type="transcode")
    return {(dict(key)["phase"], dict(key)["state"]): number for key, number in found.items() if number}


def expected_series(
    phase: str, state: str, progress: float, last_change: float
) -> dict[tuple[str, ...], float]:
    """No times of creation, update or end: Qencode tells none."""
    return {
        ("transcoding_task_progress_ratio",): progress,
        ("transcoding_task_phase", phase, state): 1,
        ("transcoding_task_retries",): 0,
        ("transcoding_task_last_change_timestamp_seconds",): last_change,
        ("transcoding_task_info", "", "", ""): 1,
        **({("transcoding_task_stalled",): 0} if state == "running" else {}),
    }


def test_given_the_answers_of_page_000_as_polls_then_the_task_is_followed_from_download_to_completion(
    simulated: SimulatedClock, server: StatusServer
) -> None:
    steps = [
        ("downloading", "running", 0.0),
        ("encoding", "running", 0.083743842364532011),
        ("encoding", "running", 0.68965517241379317),
        ("completed", "completed", 1.0),
    ]
    with exporting(DrivenClock(simulated), watching(server, TOKEN_000)) as exporter:
        for number, (phase, state, progress) in enumerate(steps, start=1):
            scrape(exporter, server, printed(PAGE_000, number))

            assert task_series(exporter, TOKEN_000) == pytest.approx(
                expected_series(phase, state, progress, simulated.time())
            )
            assert not_zero(exporter, "transcoding_tasks") == {(phase, state): 1}
            assert value(exporter, "transcoding_up", **VOD) == 1
            simulated.advance(15)

        assert not_zero(exporter, "transcoding_task_phase_entries_total") == {
            ("downloading", "running"): 1,
            ("encoding", "running"): 1,
            ("completed", "completed"): 1,
        }
        assert total(exporter, "transcoding_task_failures_total") == 0
        assert total(exporter, "transcoding_retries_total") == 0
        assert total(exporter, "transcoding_task_warnings_total") == 0
        assert samples(exporter, "transcoding_oldest_active_task_created_timestamp_seconds") == {}

        exporter.refresh(10)
        assert server.calls == [(TOKEN_000,)] * 4, "a finished task was asked about again"


def test_given_the_answers_of_page_000_each_twice_then_nothing_is_counted_twice(
    simulated: SimulatedClock, server: StatusServer
) -> None:
    with exporting(DrivenClock(simulated), watching(server, TOKEN_000)) as exporter:
        for number in (1, 1, 2, 2, 3, 3, 4):
            scrape(exporter, server, printed(PAGE_000, number))
            simulated.advance(15)

        assert not_zero(exporter, "transcoding_task_phase_entries_total") == {
            ("downloading", "running"): 1,
            ("encoding", "running"): 1,
            ("completed", "completed"): 1,
        }
        assert task_series(exporter, TOKEN_000)["transcoding_task_last_change_timestamp_seconds",] == (
            START + 6 * 15
        )


def test_given_the_status_of_page_001_at_first_sight_then_the_task_is_history_and_not_counted(
    simulated: SimulatedClock, server: StatusServer
) -> None:
    with exporting(DrivenClock(simulated), watching(server, TOKEN_001)) as exporter:
        scrape(exporter, server, printed(PAGE_001, 1))

        assert task_series(exporter, TOKEN_001) == expected_series("completed", "completed", 1.0, START)
        assert not_zero(exporter, "transcoding_tasks") == {("completed", "completed"): 1}
        assert not_zero(exporter, "transcoding_task_phase_entries_total") == {}
        assert value(exporter, "transcoding_unknown_tokens", **VOD) == 0


def test_given_the_status_of_page_001_when_the_retention_is_over_then_its_series_are_gone(
    simulated: SimulatedClock, server: StatusServer
) -> None:
    poll = PollConfig(retention=900)
    with exporting(DrivenClock(simulated), watching(server, TOKEN_001), poll=poll) as exporter:
        scrape(exporter, server, printed(PAGE_001, 1))
        simulated.advance(899)
        assert task_series(exporter, TOKEN_001)
        simulated.advance(1)

        assert task_series(exporter, TOKEN_001) == {}
        assert not_zero(exporter, "transcoding_tasks") == {}


def test_given_the_other_answer_of_page_001_which_is_no_status_then_the_account_is_down(
    simulated: SimulatedClock, server: StatusServer
) -> None:
    with exporting(DrivenClock(simulated), watching(server, TOKEN_001)) as exporter:
        scrape(exporter, server, printed(PAGE_001, 2))

        assert value(exporter, "transcoding_up", **VOD) == 0
        reason = {"endpoint": "qencode_api", "reason": "invalid_response"}
        assert value(exporter, "transcoding_api_errors_total", **VOD, **reason) == 1


@pytest.mark.parametrize(
    ("page", "numbers", "token"), [(PAGE_000, (1, 2, 3, 4), TOKEN_000), (PAGE_001, (1,), TOKEN_001)]
)
def test_given_the_answers_of_a_page_then_every_fleet_series_was_there_at_zero_beforehand(
    simulated: SimulatedClock, server: StatusServer, page: str, numbers: Iterable[int], token: str
) -> None:
    def fleet(exporter: Exporter) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        per_task = {families.TASK_INFO.name, *(entry.family.name for entry in families.PER_TASK)}
        return {
            (sample.name, tuple(sorted(sample.labels.items())))
            for metric in exporter.registry.collect()
            if not metric.name.startswith("process_") and metric.name not in per_task
            for sample in metric.samples
            # They say when, and how a source was read: there is no zero to begin with.
            if sample.name
            not in ("transcoding_poll_last_success_timestamp_seconds", "transcoding_token_source_up")
        }

    with exporting(DrivenClock(simulated), watching(server, token)) as exporter:
        before = fleet(exporter)
        for number in numbers:
            scrape(exporter, server, printed(page, number))
            simulated.advance(15)

        assert fleet(exporter) == before
