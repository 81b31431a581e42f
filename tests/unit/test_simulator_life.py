"""Life: tasks that come by themselves, the same ones for the same seed."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from exporter.simulator import Life, SimulatedClock, Simulator
from exporter.simulator.livepeer_status import LivepeerStep
from exporter.simulator.livepeer_task import LivepeerTask
from exporter.simulator.qencode_status import QencodeStatus

START = 1_795_300_000.0
HOUR = 3600.0
HEALTHY = Life(failure_ratio=0.0, stall_ratio=0.0)
# The words by which the classes of failure reasons are told apart.
REASONS = {
    "source_download": r"source|download|fetch|http(?: status)? [45]\d\d",
    "source_media": r"decode|demux|invalid input|unsupported codec|no streams|corrupt",
    "destination": r"upload|destination|s3|permission denied|\b403\b|bucket",
    "resources": r"no space|out of memory|killed",
    "stitch": r"stitch",
    "drm": r"drm|widevine|playready|fairplay|license|key server",
}


def world(seed: int = 0, life: Life | None = None, hours: float = 0.0, steps: int = 1) -> Simulator:
    """A world that was looked at several times on the way."""
    clock = SimulatedClock(start=START, speed=0.0)
    simulator = Simulator(seed=seed, clock=clock, life=life or Life())
    for _ in range(steps):
        clock.advance(hours * HOUR / steps)
        simulator.livepeer.account.rows()
        simulator.qencode.recent(0)
    return simulator


def shown(simulator: Simulator) -> tuple[Any, ...]:
    """Everything that can be seen at a moment."""
    livepeer = sorted(task.rendered(step) for task, step in simulator.livepeer.account.rows())
    jobs = simulator.qencode.recent(24 * HOUR)
    return livepeer, [(job.token, job.labels, job.timeline) for job in jobs]


def livepeer_tasks(simulator: Simulator) -> list[LivepeerTask]:
    return [task for task, _ in simulator.livepeer.account.rows()]


def qencode_steps(simulator: Simulator) -> Iterator[QencodeStatus]:
    for job in simulator.qencode.recent(24 * HOUR):
        yield from job.timeline.steps


def test_given_the_same_seed_when_looked_at_often_or_seldom_then_it_is_the_same_world() -> None:
    assert shown(world(seed=7, hours=1, steps=100)) == shown(world(seed=7, hours=1, steps=1))


def test_given_another_seed_when_looked_at_then_it_is_another_world() -> None:
    one, other = world(seed=1, hours=1), world(seed=2, hours=1)

    assert not {task.id for task in livepeer_tasks(one)} & {task.id for task in livepeer_tasks(other)}
    assert shown(one)[1] != shown(other)[1]


def test_given_two_accounts_when_they_live_then_each_has_tasks_of_its_own() -> None:
    clock = SimulatedClock(start=START, speed=0.0)
    simulator = Simulator(clock=clock, life=Life(), livepeer_keys={"key-a": "a", "key-b": "b"})

    ids: set[str] = set()
    for account in simulator.livepeer.accounts.values():
        tasks = [task for task, _ in account.rows()]
        assert {task.fixed["userId"] for task in tasks} == {account.user_id}
        assert not ids & {task.id for task in tasks}
        ids |= {task.id for task in tasks}
    assert simulator.livepeer_key == "key-a"
    assert len(ids) > 300


def test_given_a_healthy_life_when_six_hours_pass_then_nothing_fails_or_waits_in_vain() -> None:
    simulator = world(life=HEALTHY, hours=6, steps=6)

    tasks = livepeer_tasks(simulator)
    assert len(tasks) > 1000
    for task in tasks:
        assert task.timeline.last.status["phase"] == "completed"
        for step in task.timeline.steps:
            assert "errorMessage" not in step.status
            assert step.status.get("retries", 0) == 0
            assert step.status["phase"] != "cancelled"
    jobs = simulator.qencode.recent(7 * HOUR)
    assert len(jobs) > 1000
    assert {job.timeline.last.phase for job in jobs} == {"completed", "saved"}
    assert not any(step.error for step in qencode_steps(simulator))


def test_given_the_demos_life_when_it_begins_then_within_a_minute_a_newcomer_sees_every_phase() -> None:
    simulator = world(seed=0)
    phases, words = set(), set()

    for _ in range(6):
        phases |= {step.status["phase"] for _, step in simulator.livepeer.account.rows()}
        words |= {simulator.qencode.status(job.token).phase for job in simulator.qencode.recent(HOUR)}
        simulator.clock.advance(10)

    assert phases >= {"pending", "waiting", "running", "completed", "failed"}
    assert words >= {"queued", "downloading", "encoding", "saving", "completed", "error", "restarted"}


def test_given_the_demos_life_when_ten_seconds_pass_then_progress_moves() -> None:
    simulator = world(seed=0)
    before = shown(simulator)[0]

    simulator.clock.advance(10)

    changed = set(shown(simulator)[0]) - set(before)
    assert len([text for text in changed if json.loads(text)["status"]["phase"] == "running"]) >= 3


def test_given_the_demos_life_when_an_hour_passes_then_all_types_of_task_came() -> None:
    # The documented types, and the one of older records.
    types = {task.fixed["type"] for task in livepeer_tasks(world(hours=1))}

    assert types == {"upload", "export", "export-data", "transcode-file", "clip", "import"}


@pytest.mark.parametrize("service", ["livepeer", "qencode"])
def test_given_a_troubled_life_when_hours_pass_then_failures_of_every_class_occur(service: str) -> None:
    simulator = world(life=Life(failure_ratio=0.6), hours=2)
    if service == "livepeer":
        steps = [step for task in livepeer_tasks(simulator) for step in task.timeline.steps]
        messages = {step.status.get("errorMessage", "") for step in steps} - {""}
    else:
        messages = {step.description or "" for step in qencode_steps(simulator)} - {""}

    classes = [
        [name for name, words in REASONS.items() if re.search(words, message, re.IGNORECASE)]
        for message in messages
    ]

    assert all(len(matching) <= 1 for matching in classes), messages
    assert {name for matching in classes for name in matching or ["unknown"]} == {*REASONS, "unknown"}


def test_given_retries_when_they_happen_then_pauses_and_statuses_are_the_tables() -> None:
    tasks = livepeer_tasks(world(life=Life(failure_ratio=0.5, stall_ratio=0.0), hours=2))

    pauses = set()
    for task in tasks:
        for before, after in pairwise(task.timeline.steps):
            assert follows(before, after), (before, after)
            if "errorMessage" in before.status and before.status["phase"] == "waiting":
                pauses.add((before.status["retries"], round(after.at - before.at)))
    # The vendor's scheduler pauses for 30 s, then for 180 s.
    assert pauses == {(1, 30), (2, 180)}


def follows(before: LivepeerStep, after: LivepeerStep) -> bool:
    """Whether the vendor's server ever leads from one status to the other."""
    old, new = dict(before.status), dict(after.status)
    assert new.pop("updatedAt") == round(after.at * 1000)
    retries = old.get("retries")
    progress, message = new.get("progress"), new.get("errorMessage")
    carried = {} if retries is None else {"retries": retries}
    told = {} if progress is None else {"progress": progress}
    rows: list[dict[str, Any]] = {
        "pending": [{"phase": "waiting", "retries": 0}],
        "waiting": [
            {"phase": "running", **carried, **told},
            {"phase": "waiting", **carried},
        ],
        "running": [
            {"phase": "running", **carried, **told},
            {"phase": "waiting", "retries": (retries or 0) + 1, "errorMessage": message},
            {"phase": "failed", **carried, "errorMessage": message},
            {"phase": "completed"},
            {"phase": "cancelled"},
        ],
        "failed": [{"phase": "waiting", "retries": 0}],
        "cancelled": [],
        "completed": [],
    }[old["phase"]]
    return new in rows


def test_given_runners_when_they_report_then_progress_sometimes_falls_and_sometimes_is_absent() -> None:
    falls = absent = 0
    for task in livepeer_tasks(world(life=HEALTHY, hours=2)):
        for before, after in pairwise(task.timeline.steps):
            if before.status["phase"] == after.status["phase"] == "running":
                absent += "progress" not in after.status
                falls += after.status.get("progress", 1) < before.status.get("progress", 0)

    assert absent > 0
    assert falls > 0


def test_given_recovering_jobs_when_restarted_then_the_warning_names_the_job_that_goes_on() -> None:
    simulator = world(life=Life(failure_ratio=0.5, retry_ratio=1.0, stall_ratio=0.0), hours=1)
    jobs = {job.token: job for job in simulator.qencode.recent(3 * HOUR)}

    restarted = [job for job in jobs.values() if job.timeline.last.phase == "restarted"]

    assert len(restarted) > 50
    for job in restarted:
        successor = re.search(r"[0-9a-f]{32}", job.timeline.last.warnings[-1].details or "")
        assert successor
        found = jobs.get(successor[0]) or simulator.qencode.find([successor[0]])
        assert found or job.timeline.last.at > simulator.clock.time()
        if successor[0] in jobs:
            heir = jobs[successor[0]]
            assert heir.timeline.first.at == job.timeline.last.at
            assert heir.timeline.last.phase in {"completed", "saved"}
            assert heir.labels == job.labels


def test_given_stalls_when_hours_pass_then_the_stuck_stay_as_they_are() -> None:
    simulator = world(life=Life(failure_ratio=0.0, stall_ratio=1.0), hours=3)

    assert {task.timeline.last.status["phase"] for task in livepeer_tasks(simulator)} <= {
        *("pending", "running")
    }
    assert not any(step.ended for step in qencode_steps(simulator))


def test_given_many_hours_when_they_pass_then_what_ended_long_ago_is_forgotten() -> None:
    life = Life(arrivals_per_minute=2.0, stall_ratio=0.0, memory=HOUR)
    simulator = world(life=life, hours=12, steps=100)

    # Two a minute, kept for an hour after their end, and the longest take minutes.
    assert 100 < len(livepeer_tasks(simulator)) < 2 * 60 * 2
    assert len(simulator.qencode.recent(12 * HOUR)) < 2 * 60 * 3


@pytest.mark.parametrize(
    "settings",
    [
        {"failure_ratio": 1.1},
        {"stall_ratio": -0.1},
        {"arrivals_per_minute": 0},
        {"shortest": 9, "longest": 8},
    ],
)
def test_given_senseless_settings_when_made_then_they_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Life(**settings)
