"""Who is told what, by a real Prometheus and a real Alertmanager with our rules and examples."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from exporter.simulator import Fault, FaultKind, Simulator
from tests.alerting import Monitoring, Name, monitoring
from tests.processes import EXPORTER, Process, running, wait_until
from tests.runbooks import as_the_runbook_shows
from tests.served import livepeer, qencode, write

POLL = {
    "min_poll_interval": "0s",
    "retention": "10m",
    "stall_after": {"queued": "1h", "running": "4s", "unknown": "1h"},
}
SOON = {
    "account_down_for": "2s",
    "polls_stale_seconds": "6",
    "keep_firing_for": "1s",
}
"""Thresholds of the rules; the shipped ones a test can't wait for."""

LASTING = SOON | {"keep_firing_for": "2m"}
IMPATIENT = SOON | {"waiting_seconds": "3"}
WARY = LASTING | {"shards_disagree_for": "2s", "exporter_absent_for": "2s"}

PREPARED = [SOON, SOON, SOON, SOON, LASTING, IMPATIENT, WARY]
"""The thresholds of each Prometheus that the tests need."""

Prepared = list[tuple[Mapping[str, str], Monitoring]]
"""Those that no test has used yet, with their thresholds."""

MINUTE = 60.0

STALLED, FAILED = "TranscodingTaskStalled", "TranscodingTaskFailed"
DOWN: Name = ("TranscodingAccountDown", "vod", "")
OLDEST: Name = ("TranscodingOldestTaskWaiting", "studio", "")
STALE: Name = ("TranscodingPollsStale", "vod", "")
FAST_BURN: Name = ("TranscodingFailureRatioFastBurn", "studio", "")
SLOW_BURN: Name = ("TranscodingFailureRatioSlowBurn", "studio", "")
DISAGREE: Name = ("TranscodingShardsDisagree", "", "")
ABSENT: Name = ("TranscodingExporterAbsent", "", "")


class Stage:
    """Both services, the exporter that watches them, and what alerts about them.

    Attributes:
        watch: Prometheus and Alertmanager, which are there before the exporter is, and while it is not.
    """

    def __init__(self, simulator: Simulator, folder: Path, watch: Monitoring) -> None:
        self.simulator = simulator
        self.studio = simulator.livepeer.account
        self.vod = simulator.qencode
        self.watch = watch
        self._tokens: list[str] = []
        self._folder = folder

    def job(self, phase: str, **state: Any) -> str:
        """A Qencode job that is watched from the start."""
        self._tokens.append(self.vod.add(phase, **state))
        return self._tokens[-1]

    def upload(self) -> str:
        """A Livepeer task that waits."""
        task = self.studio.add("upload")
        self.studio.schedule(task)
        return task

    def old_tasks(self) -> None:
        """What has ended before anybody watches: at Livepeer a minute ago, at Qencode nobody knows when."""
        self.studio.fail(self.upload(), "unsupported codec")
        self.studio.complete(self.upload())
        self.job("error", error=True, description="Internal error")
        self.job("completed", percent=100.0)
        self.simulator.clock.advance(MINUTE)

    @contextmanager
    def exporter(self, *flags: str, **sections: Any) -> Iterator[Process]:
        """The exporter, the first one or one after a restart: same place, same ledger."""
        vod = [qencode(self.simulator, *self._tokens)] if self._tokens else []
        sections = {"poll": POLL, **sections}
        config = write(self._folder / "config.yml", livepeer(self.simulator), *vod, **sections)
        command = [
            *EXPORTER,
            "serve",
            f"--config.file={config}",
            f"--storage.path={self._folder / 'ledger.db'}",
            f"--web.listen-address=127.0.0.1:{self.watch.port}",
            *flags,
        ]
        with running(command) as process:
            process.find("(event=listening)")
            yield process

    def seen(self, **states: float) -> None:
        """Wait until Prometheus has so many tasks in these states, and none in others."""

        def counted() -> bool:
            found = self.watch.query("sum by (state) (transcoding_tasks) > 0")
            return {labels["state"]: number for labels, number in found} == states

        wait_until(counted, 30, f"{states} tasks")


@pytest.fixture(scope="module")
def prepared(tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """One for each test, all started at once: Prometheus waits for 5 seconds before its first scrape."""
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        folders = [tmp_path_factory.mktemp("watch") for _ in PREPARED]
        watches = map(monitoring, repeat(tool), folders, PREPARED)
        yield list(zip(PREPARED, threads.map(stack.enter_context, watches), strict=True))


def taken(prepared: Prepared, settings: Mapping[str, str]) -> Monitoring:
    """One with these thresholds that no test has used."""
    number = next(number for number, (one, _) in enumerate(prepared) if one == settings)
    return prepared.pop(number)[1]


@pytest.fixture
def stage(prepared: Prepared, tmp_path: Path) -> Iterator[Stage]:
    with Simulator() as simulator:
        yield Stage(simulator, tmp_path, taken(prepared, SOON))


@pytest.fixture
def lasting_stage(prepared: Prepared, tmp_path: Path) -> Iterator[Stage]:
    """One on which alerts outlive missed scrapes, as ours do."""
    with Simulator() as simulator:
        yield Stage(simulator, tmp_path, taken(prepared, LASTING))


@pytest.fixture
def impatient_stage(prepared: Prepared, tmp_path: Path) -> Iterator[Stage]:
    """One on which a task waits too long within seconds."""
    with Simulator() as simulator:
        yield Stage(simulator, tmp_path, taken(prepared, IMPATIENT))


@pytest.fixture
def wary_stage(prepared: Prepared, tmp_path: Path) -> Iterator[Stage]:
    """One on which it is told within seconds that a shard is missing, or an exporter."""
    with Simulator() as simulator:
        yield Stage(simulator, tmp_path, taken(prepared, WARY))


def gathered(watch: Monitoring) -> list[tuple[str, str, str]]:
    """What the notifications of new trouble were gathered by, sorted; repetitions included."""
    groups = [told.group for told in watch.pager.notifications if told.status == "firing"]
    assert all(group.keys() == {"alertname", "provider", "account"} for group in groups)
    return sorted((group["alertname"], group["provider"], group["account"]) for group in groups)


# --- Trouble comes and goes ----------------------------------------------------------------------------


def test_given_a_stalled_task_a_failed_one_and_an_account_down_then_exactly_these_are_told_until_they_end(
    stage: Stage,
) -> None:
    watch = stage.watch
    broken, stuck, job = stage.upload(), stage.upload(), stage.job("encoding", percent=30.0)
    stage.studio.progress(stuck, 0.4)
    stage.upload()
    stage.studio.complete(stage.upload())
    stage.job("queued")
    of_tasks: set[Name] = {(STALLED, "studio", stuck), (FAILED, "studio", broken), (STALLED, "vod", job)}

    with stage.exporter():
        stage.seen(queued=3, running=2, completed=1)
        stage.studio.fail(broken, "unsupported codec")
        alerts = watch.expect(of_tasks)
        assert [alert.status for alert in alerts.values()] == ["active"] * 3

        fault = Fault(FaultKind.SERVER_ERROR, status=503)
        stage.simulator.faults.set("qencode_api", fault)
        stage.simulator.faults.set("qencode_master", fault)
        alerts = watch.expect(of_tasks | {DOWN, STALE})
        assert {name: alert.inhibited_by for name, alert in alerts.items() if alert.inhibited_by} == {
            (STALLED, "vod", job): (alerts[DOWN].fingerprint,),
            STALE: (alerts[DOWN].fingerprint,),
        }
        for alert in alerts.values():
            as_the_runbook_shows(alert)

        stage.simulator.faults.clear()
        alerts = watch.expect(of_tasks)
        assert [alert.status for alert in alerts.values()] == ["active"] * 3

        stage.studio.complete(stuck)
        stage.studio.retry_by_hand(broken)
        stage.vod.complete(job)
        watch.expect(set())
        told = {("default", name) for name in of_tasks} | {("critical", DOWN)}
        wait_until(lambda: set(watch.pager.told("resolved")) == told, 60, "everything has ended")
        assert sorted(watch.pager.told("firing")) == sorted(told), "each once"
        assert gathered(watch) == [
            ("TranscodingAccountDown", "qencode", "vod"),
            ("TranscodingTaskFailed", "livepeer", "studio"),
            ("TranscodingTaskStalled", "livepeer", "studio"),
            ("TranscodingTaskStalled", "qencode", "vod"),
        ]


def test_given_200_tasks_that_fail_at_once_then_that_is_one_message_and_the_end_of_their_retention_another(
    stage: Stage,
) -> None:
    watch = stage.watch
    tasks = [stage.upload() for _ in range(200)]
    with stage.exporter(poll=POLL | {"retention": "5s"}):
        stage.seen(queued=200)
        stage.studio.lag = MINUTE
        for task in tasks:
            stage.studio.fail(task, "upload to s3 failed")
        stage.studio.lag = 0.0
        wait_until(lambda: watch.pager.told("resolved"), 30, "they have left")

        of_tasks = [told for told in watch.pager.notifications if told.group["alertname"] == FAILED]
        assert [(told.status, len(told.alerts)) for told in of_tasks] == [("firing", 200), ("resolved", 200)]
        for alert in of_tasks[0].alerts:
            as_the_runbook_shows(alert)

        ratios = watch.expect({FAST_BURN, SLOW_BURN})
        assert ratios[FAST_BURN].inhibited_by == ()
        assert ratios[SLOW_BURN].inhibited_by == (ratios[FAST_BURN].fingerprint,)
        for alert in ratios.values():
            as_the_runbook_shows(alert)
        assert gathered(watch) == [
            ("TranscodingFailureRatioFastBurn", "livepeer", "studio"),
            ("TranscodingTaskFailed", "livepeer", "studio"),
        ]


def test_given_a_task_that_stands_still_then_that_it_waits_is_held_back_if_it_is_queued(
    impatient_stage: Stage,
) -> None:
    stage, watch = impatient_stage, impatient_stage.watch
    works, waits = stage.upload(), stage.upload()
    stage.studio.progress(works, 0.4)
    running_one, queued_one = (STALLED, "studio", works), (STALLED, "studio", waits)
    with stage.exporter():
        alerts = watch.expect({running_one, OLDEST})
        assert alerts[OLDEST].inhibited_by == ()
        as_the_runbook_shows(alerts[OLDEST])

    with stage.exporter(poll=POLL | {"stall_after": "4s"}):
        alerts = watch.expect({running_one, queued_one, OLDEST})
        assert alerts[OLDEST].inhibited_by == (alerts[queued_one].fingerprint,)
        as_the_runbook_shows(alerts[queued_one])


def test_given_one_of_two_shards_then_the_other_is_missed_until_the_first_is_gone_as_well(
    wary_stage: Stage,
) -> None:
    watch = wary_stage.watch
    with wary_stage.exporter("--shard=0", "--total-shards=2"):
        alerts = watch.expect({DISAGREE})
        assert alerts[DISAGREE].inhibited_by == ()
        as_the_runbook_shows(alerts[DISAGREE])

    alerts = watch.expect({DISAGREE, ABSENT})
    assert alerts[DISAGREE].inhibited_by == (alerts[ABSENT].fingerprint,)
    as_the_runbook_shows(alerts[ABSENT])


# --- Start and restart ---------------------------------------------------------------------------------


@pytest.mark.parametrize("per_task", [True, False])
def test_given_a_fresh_start_with_old_tasks_then_nothing_fires_until_something_fails_or_stalls(
    stage: Stage, per_task: bool
) -> None:
    watch = stage.watch
    stage.old_tasks()
    upload, job, stuck = stage.upload(), stage.job("queued"), stage.job("queued")
    with stage.exporter(metrics={"per_task": per_task}):
        stage.seen(failed=2, completed=2, queued=3)
        watch.evaluated(times=3)
        assert (watch.pending(), watch.alerts()) == ([], {})

        stage.studio.fail(upload, "upload to s3 failed")
        stage.vod.fail(job, "Internal error")
        stage.vod.set(stuck, "encoding", percent=30.0)
        one: set[Name] = {(FAILED, "studio", upload), (FAILED, "vod", job), (STALLED, "vod", stuck)}
        fleet: set[Name] = {(name.replace("Task", "Tasks"), account, "") for name, account, _ in one}
        alerts = watch.expect(one if per_task else fleet)
        for alert in alerts.values():
            as_the_runbook_shows(alert)
        wait_until(lambda: len(watch.pager.told("firing")) == 3, 15, "all are told")


def test_given_a_failure_while_the_exporter_is_dead_then_it_fires_after_the_restart_and_no_other_does_again(
    lasting_stage: Stage,
) -> None:
    stage, watch = lasting_stage, lasting_stage.watch
    stage.old_tasks()
    before, upload, job, after = stage.upload(), stage.upload(), stage.job("queued"), stage.job("queued")
    with stage.exporter() as first:
        stage.seen(failed=2, completed=2, queued=4)
        stage.studio.fail(before, "unsupported codec")
        told: list[Name] = [(FAILED, "studio", before)]
        watch.expect(set(told))
        first.stop(SIGKILL)
    stage.studio.fail(upload, "upload to s3 failed")
    stage.vod.fail(job, "Internal error")
    wait_until(lambda: watch.query("up == 0"), 15, "the exporter is missed")
    with stage.exporter():
        told += [(FAILED, "studio", upload), (FAILED, "vod", job)]
        watch.expect(set(told))
        stage.vod.fail(after, "Internal error")
        told.append((FAILED, "vod", after))
        watch.expect(set(told))
        watch.evaluated(times=3)

        assert watch.alerts().keys() == set(told)
        assert watch.pager.told("resolved") == []
