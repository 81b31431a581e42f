"""Clocks that are wrong, or step, make no event and no age wrong; and what makes no progress is told."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from exporter.assembly import Exporter
from exporter.config import PollConfig, StallConfig
from exporter.simulator import SimulatedClock, Simulator
from tests.support import DrivenClock, exporting, livepeer_config, qencode_config, samples, total, value

MINUTE, HOUR = 60.0, 3600.0
STALL = StallConfig(queued=30 * MINUTE, running=10 * MINUTE, unknown=10 * MINUTE)
UPLOAD = {"provider": "livepeer", "account": "studio", "task_type": "upload"}
JOB = {"provider": "qencode", "account": "vod", "task_type": "transcode"}
CHANGED = "transcoding_task_last_change_timestamp_seconds"


class Machine(DrivenClock):
    """The exporter's machine: its clock may be wrong, or be set, while true time goes on.

    Attributes:
        wrong: By how many seconds its clock is ahead at present.
    """

    def __init__(self, true: SimulatedClock, wrong: float = 0.0) -> None:
        super().__init__(true)
        self._at_start = self.wrong = wrong

    def time(self) -> float:
        return self.simulated.time() + self.wrong

    def monotonic(self) -> float:
        return self.simulated.monotonic()

    def steady(self) -> float:
        return self.simulated.time() + self._at_start


class Services:
    """One task of each service, and the exporter that watches them."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.upload = simulator.livepeer.account.add("upload")
        self.job = simulator.qencode.add("queued")
        self._storage = f"sqlite:///{folder}/ledger.db"

    def watched(self, machine: Machine) -> AbstractContextManager[Exporter]:
        """An exporter, the first one or one after a restart."""
        return exporting(
            machine,
            livepeer_config(self.simulator),
            qencode_config(self.simulator, self.job),
            poll=PollConfig(min_poll_interval=0.0, stall_after=STALL),
            storage=self._storage,
        )

    def after(self, seconds: float) -> None:
        self.simulator.clock.advance(seconds)

    def run(self, progress: float) -> None:
        self.simulator.livepeer.account.progress(self.upload, progress)
        self.simulator.qencode.set(self.job, "encoding", percent=100 * progress)

    def complete(self) -> None:
        self.simulator.livepeer.account.complete(self.upload)
        self.simulator.qencode.complete(self.job)


@pytest.fixture
def services(simulator: Simulator, tmp_path: Path) -> Services:
    return Services(simulator, tmp_path)


def stalled(exporter: Exporter) -> dict[str, float]:
    """How many tasks are stalled, by provider and phase; none at 0."""
    return {
        f"{dict(labels)['provider']} {dict(labels)['phase']}": number
        for labels, number in samples(exporter, "transcoding_stalled_tasks").items()
        if number
    }


def ages(exporter: Exporter, machine: Machine) -> set[float]:
    """How long ago the tasks last changed, by the machine's present clock."""
    return {round(machine.time() - at, 3) for at in samples(exporter, CHANGED).values()}


def observed(exporter: Exporter, name: str) -> dict[tuple[str, str], tuple[float, float]]:
    """How often and how much was observed, by provider and by the last label; what never was is left out."""
    counts, sums = samples(exporter, f"{name}_count"), samples(exporter, f"{name}_sum")
    assert all(seconds >= 0 for seconds in sums.values())
    found = {}
    for labels, count in counts.items():
        named = dict(labels)
        if count:
            found[named["provider"], named.get("phase") or named["state"]] = (count, sums[labels])
    return found


LIFE = {
    "transcoding_task_duration_seconds": {
        ("livepeer", "completed"): (1, 240.0),
        ("qencode", "completed"): (1, 240.0),
    },
    "transcoding_task_phase_duration_seconds": {
        ("livepeer", "pending"): (1, 60.0),
        ("livepeer", "running"): (1, 180.0),
        ("qencode", "queued"): (1, 60.0),
        ("qencode", "encoding"): (1, 180.0),
    },
}


def life_goes_on(services: Services, exporter: Exporter, machine: Machine) -> Iterator[None]:
    """Four minutes in the life of the tasks, and what has to be true all along; pauses between two polls."""
    exporter.refresh(10)
    assert (ages(exporter, machine), stalled(exporter)) == ({0.0}, {})
    services.after(MINUTE)
    yield
    services.run(0.2)
    exporter.refresh(10)
    assert (ages(exporter, machine), stalled(exporter)) == ({0.0}, {})
    services.after(2 * MINUTE)
    yield
    exporter.refresh(10)
    assert (ages(exporter, machine), stalled(exporter)) == ({120.0}, {})
    services.after(MINUTE)
    yield
    services.complete()
    exporter.refresh(10)
    assert (ages(exporter, machine), stalled(exporter)) == ({0.0}, {})


def counted_once(exporter: Exporter) -> None:
    for provider in ("livepeer", "qencode"):
        entered = samples(exporter, "transcoding_task_phase_entries_total", provider=provider)
        assert [number for number in entered.values() if number] == [1, 1, 1], "each phase once"
    for name, expected in LIFE.items():
        assert observed(exporter, name) == expected


@pytest.mark.parametrize("step", [HOUR, -HOUR])
@pytest.mark.parametrize("when", [0, 1, 2])
def test_given_the_machines_clock_steps_between_two_polls_then_nothing_is_lost_or_doubled(
    services: Services, step: float, when: int
) -> None:
    machine = Machine(services.simulator.clock)
    with services.watched(machine) as exporter:
        for place, _ in enumerate(life_goes_on(services, exporter, machine)):
            if place == when:
                machine.wrong += step
        counted_once(exporter)
        assert total(exporter, "transcoding_up") == 2


@pytest.mark.parametrize("skew", [HOUR, -HOUR, 0.0])
def test_given_a_provider_whose_clock_is_an_hour_off_then_ages_are_true_all_the_same(
    services: Services, skew: float
) -> None:
    machine = Machine(services.simulator.clock, wrong=-skew)
    with services.watched(machine) as exporter:
        for _ in life_goes_on(services, exporter, machine):
            pass
        counted_once(exporter)


@pytest.mark.parametrize("skew", [HOUR, -HOUR])
def test_given_a_provider_whose_clock_is_an_hour_off_then_history_is_still_told_from_news(
    services: Services, skew: float
) -> None:
    account = services.simulator.livepeer.account
    account.fail(services.upload, "unsupported codec")
    services.after(MINUTE)
    machine = Machine(services.simulator.clock, wrong=-skew)
    with services.watched(machine) as exporter:
        services.after(MINUTE)
        news = account.add("upload")
        account.fail(news, "upload to s3 failed")
        exporter.refresh(10)
        failures = samples(exporter, "transcoding_task_failures_total", **UPLOAD)
        assert {dict(labels)["reason"] for labels, number in failures.items() if number} == {"destination"}
        assert total(exporter, "transcoding_tasks", phase="failed") == 2


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_given_the_clock_is_set_while_the_exporter_is_down_then_events_are_counted_and_ages_not_negative(
    services: Services, step: float
) -> None:
    with services.watched(Machine(services.simulator.clock)) as exporter:
        exporter.refresh(10)
    services.after(MINUTE)
    machine = Machine(services.simulator.clock, wrong=step)
    with services.watched(machine) as exporter:
        services.after(MINUTE)
        failed = services.simulator.livepeer.account.add("upload")
        services.after(1)
        services.simulator.livepeer.account.fail(failed, "upload to s3 failed")
        services.after(1)
        exporter.refresh(10)
        assert total(exporter, "transcoding_task_failures_total", **UPLOAD) == 1
        assert min(ages(exporter, machine)) >= 0
        services.complete()
        exporter.refresh(10)
        assert total(exporter, "transcoding_task_duration_seconds_count", state="completed") == 2
        observed(exporter, "transcoding_task_duration_seconds")


# --- Stalled -----------------------------------------------------------------------------------------


def test_given_a_task_that_makes_no_progress_for_20_minutes_then_it_is_stalled_until_its_first_change(
    services: Services,
) -> None:
    machine = Machine(services.simulator.clock)
    services.run(0.2)
    with services.watched(machine) as exporter:
        exporter.refresh(10)
        assert stalled(exporter) == {}
        for minutes, expected in ((9, {}), (1, {"livepeer running": 1, "qencode encoding": 1})):
            services.after(minutes * MINUTE)
            exporter.refresh(10)
            assert stalled(exporter) == expected
        services.after(10 * MINUTE)
        exporter.refresh(10)
        assert stalled(exporter) == {"livepeer running": 1, "qencode encoding": 1}

        services.run(0.3)
        exporter.refresh(10)
        assert stalled(exporter) == {}
        assert value(exporter, "transcoding_stalled_tasks", **UPLOAD, phase="running") == 0
        assert value(exporter, "transcoding_stalled_tasks", **JOB, phase="encoding") == 0


def test_given_a_task_in_a_queue_then_it_has_a_limit_of_its_own(services: Services) -> None:
    machine = Machine(services.simulator.clock)
    # An upload without its file is in no queue.
    services.simulator.livepeer.account.schedule(services.upload)
    with services.watched(machine) as exporter:
        exporter.refresh(10)
        services.after(29 * MINUTE)
        exporter.refresh(10)
        assert stalled(exporter) == {}
        services.after(MINUTE)
        exporter.refresh(10)
        assert stalled(exporter) == {"livepeer waiting": 1, "qencode queued": 1}
        services.run(0.0)
        exporter.refresh(10)
        assert stalled(exporter) == {}


def test_given_a_restart_then_the_time_without_progress_goes_on(services: Services) -> None:
    services.run(0.2)
    with services.watched(Machine(services.simulator.clock)) as exporter:
        exporter.refresh(10)
    services.after(12 * MINUTE)
    machine = Machine(services.simulator.clock)
    with services.watched(machine) as exporter:
        assert stalled(exporter) == {"livepeer running": 1, "qencode encoding": 1}, "even before it asks"
        exporter.refresh(10)
        assert stalled(exporter) == {"livepeer running": 1, "qencode encoding": 1}
        assert ages(exporter, machine) == {12 * MINUTE}
        services.run(0.3)
        exporter.refresh(10)
        assert stalled(exporter) == {}


def test_given_a_task_that_was_stuck_for_an_hour_when_first_seen_then_livepeer_tells_so(
    services: Services,
) -> None:
    services.run(0.2)
    services.after(HOUR)
    machine = Machine(services.simulator.clock)
    with services.watched(machine) as exporter:
        exporter.refresh(10)
        # Qencode tells no times: for all we know, its job has just begun.
        assert stalled(exporter) == {"livepeer running": 1}
        assert ages(exporter, machine) == {0.0, HOUR}


def test_given_ended_tasks_then_they_are_never_stalled(services: Services) -> None:
    machine = Machine(services.simulator.clock)
    with services.watched(machine) as exporter:
        services.run(0.2)
        exporter.refresh(10)
        services.complete()
        exporter.refresh(10)
        services.after(14 * MINUTE)
        exporter.refresh(10)
        assert total(exporter, "transcoding_tasks") == 2
        assert stalled(exporter) == {}
