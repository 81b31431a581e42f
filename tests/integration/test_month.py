"""A month of tasks: the ledger is as large as a week of them, and a restart asks for none that has ended."""

# ruff: noqa: T201 - the figures are worth reading

import contextlib
import json
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from exporter.assembly import Exporter
from exporter.config import Config, PollConfig, StorageConfig
from exporter.providers.livepeer import OVERLAP
from exporter.simulator import Simulator
from tests.support import DrivenClock, exporting, livepeer_config, qencode_config, total

HOUR, DAY = 3600.0, 86400.0
ROUNDS_A_DAY = 4
TASKS_A_ROUND = 50
"""Of each service: 200 a day."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def rows(ledger: Path) -> dict[str, int]:
    """How many tasks are in the file, by provider."""
    with contextlib.closing(sqlite3.connect(ledger)) as connection:
        return dict(connection.execute("SELECT provider, count(*) FROM tasks GROUP BY provider").fetchall())


def size(ledger: Path) -> int:
    return sum(file.stat().st_size for file in ledger.parent.glob("ledger.db*"))


def live(simulator: Simulator, exporter: Exporter) -> None:
    """Some tasks begin and end, and their tokens leave the discovery."""
    account, world = simulator.livepeer.account, simulator.qencode
    uploads = [account.add("upload") for _ in range(TASKS_A_ROUND)]
    jobs = [world.add("queued") for _ in range(TASKS_A_ROUND)]
    exporter.refresh(30)
    simulator.clock.advance(HOUR)
    for upload, job in zip(uploads, jobs, strict=True):
        account.complete(upload)
        world.complete(job)
    exporter.refresh(30)
    simulator.clock.advance(DAY / ROUNDS_A_DAY - HOUR)


def test_given_a_month_of_tasks_then_the_file_is_no_larger_than_a_week_of_them(
    simulator: Simulator, clock: DrivenClock, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Config(
        poll=PollConfig(min_poll_interval=0.0),
        storage=StorageConfig(url=f"sqlite:///{ledger}", keep=7 * DAY),
        qencode=(qencode_config(simulator, task_tokens_http=simulator.tokens_url),),
        livepeer=(livepeer_config(simulator),),
    )
    exporter = Exporter(config, clock=clock)
    days = []
    for _ in range(30):
        for _ in range(ROUNDS_A_DAY):
            live(simulator, exporter)
        days.append((rows(ledger), size(ledger)))
    with contextlib.closing(exporter):
        done = total(exporter, "transcoding_task_phase_entries_total", state="completed")

    a_day = ROUNDS_A_DAY * TASKS_A_ROUND
    assert done == 2 * 30 * a_day, "what is forgotten has been counted"
    with capsys.disabled():
        for day in (1, 7, 8, 14, 30):
            kept, size_ = days[day - 1]
            print(
                f"\n  day {day:2}: {kept['livepeer']:5} + {kept['qencode']:4} rows, {size_:9,} bytes", end=""
            )
        print()
    for kept, _ in days[-7:]:
        # A round more than was promised: what is old is looked for when the next tasks come.
        assert kept["livepeer"] <= 7 * a_day + 2 * TASKS_A_ROUND
        assert kept["qencode"] <= a_day + 2 * TASKS_A_ROUND
    week = max(size_ for _, size_ in days[7:14])
    assert max(size_ for _, size_ in days[-7:]) <= 1.1 * week


class TestRestart:
    @pytest.fixture
    def tokens(self, simulator: Simulator) -> list[str]:
        return [simulator.qencode.add("encoding") for _ in range(120)]

    def watched(
        self, simulator: Simulator, clock: DrivenClock, ledger: Path, tokens: list[str]
    ) -> AbstractContextManager[Exporter]:
        return exporting(
            *(clock, livepeer_config(simulator), qencode_config(simulator, *tokens)),
            poll=PollConfig(min_poll_interval=0.0, retention=60.0),
            storage=f"sqlite:///{ledger}",
        )

    @pytest.fixture
    def active(self, simulator: Simulator, clock: DrivenClock, ledger: Path, tokens: list[str]) -> set[str]:
        """Twenty of the tokens go on; the others ended an hour before, as did all that Livepeer has."""
        uploads = [simulator.livepeer.account.add("upload") for _ in range(100)]
        with self.watched(simulator, clock, ledger, tokens) as exporter:
            exporter.refresh(10)
            simulator.clock.advance(1)
            for token in tokens[20:]:
                simulator.qencode.complete(token)
            for upload in uploads:
                simulator.livepeer.account.complete(upload)
            exporter.refresh(10)
            simulator.clock.advance(HOUR)
            # What has ended is put away with the next news.
            simulator.qencode.set(tokens[0], percent=50.0)
            simulator.livepeer.account.add("upload")
            exporter.refresh(10)
        simulator.requests.clear()
        return set(tokens[:20])

    def test_asks_for_no_task_that_has_ended(
        self, simulator: Simulator, clock: DrivenClock, ledger: Path, tokens: list[str], active: set[str]
    ) -> None:
        position = simulator.clock.time()
        simulator.clock.advance(5)
        with self.watched(simulator, clock, ledger, tokens) as exporter:
            for _ in range(2):
                exporter.refresh(10)
            assert total(exporter, "transcoding_tasks", provider="qencode") == 20

        forms = [request.form["task_tokens"].split(",") for request in simulator.requests.to("qencode")]
        assert {token for form in forms for token in form} == active
        asked = [json.loads(request.query["filters"]) for request in simulator.requests.to("livepeer")]
        since = [filters[0]["value"]["gte"] for filters in asked]
        assert min(since) == round((position - OVERLAP) * 1000)
        assert {request.target for request in simulator.requests.to("livepeer")} == {"livepeer_list"}

    def test_does_not_look_into_what_has_ended(
        self, simulator: Simulator, clock: DrivenClock, ledger: Path, tokens: list[str], active: set[str]
    ) -> None:
        with contextlib.closing(sqlite3.connect(ledger)) as connection, connection:
            spoiled = connection.execute("UPDATE tasks SET body = x'00' WHERE ended IS NOT NULL").rowcount
        assert spoiled == 200

        with self.watched(simulator, clock, ledger, tokens) as exporter:
            exporter.refresh(10)
            assert total(exporter, "transcoding_up") == 2
            assert total(exporter, "transcoding_tasks", provider="qencode") == len(active)
