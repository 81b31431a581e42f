"""What is known grows by whole changes, and shows only what is meant to be seen."""

from typing import Any

from exporter.model import Account, Observation, Provider, State
from exporter.tracking.knowledge import MAX_UNKNOWN_PHASES, Knowledge, Snapshot
from exporter.tracking.tally import Count, Tally
from exporter.tracking.tracker import Moment

ACCOUNT = Account(Provider.QENCODE, "vod")
RETENTION = 60.0


def seen(task: str, phase: str, state: State, **fields: Any) -> Observation:
    return Observation(task=task, task_type="transcode", phase=phase, state=state, dated=1.0, **fields)


def at(now: float) -> Moment:
    return Moment(steady=now, page=now)


def shown(snapshot: Snapshot) -> dict[str, str]:
    return {task.id: task.seen.phase for task in snapshot.tasks}


def test_a_change_is_invisible_until_it_is_applied() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    change = knowledge.plan(at(10.0), observations=[seen("a", "encoding", State.RUNNING)], position=9.0)

    assert shown(knowledge.snapshot(10.0)) == {}
    assert knowledge.position != 9.0

    knowledge.apply(change)
    assert shown(knowledge.snapshot(10.0)) == {"a": "encoding"}
    assert knowledge.position == 9.0
    assert knowledge.snapshot(10.0).counts == {
        Count(Tally.PHASE_ENTRIES, ("transcode", "encoding", "running")): 1
    }


def test_an_ended_task_is_shown_until_the_retention_is_over_and_known_for_longer() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    knowledge.apply(knowledge.plan(at(10.0), observations=[seen("a", "completed", State.COMPLETED)]))

    assert shown(knowledge.snapshot(69.9)) == {"a": "completed"}
    assert shown(knowledge.snapshot(70.0)) == {}
    assert "a" in knowledge.tasks
    assert "a" not in knowledge.active


def test_a_task_that_comes_back_is_shown_again() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    knowledge.apply(knowledge.plan(at(10.0), observations=[seen("a", "failed", State.FAILED)]))
    assert shown(knowledge.snapshot(500.0)) == {}

    knowledge.apply(knowledge.plan(at(510.0), observations=[seen("a", "queued", State.QUEUED)]))
    assert shown(knowledge.snapshot(9999.0)) == {"a": "queued"}
    assert set(knowledge.active) == {"a"}


def test_a_task_that_comes_twice_in_one_answer_counts_once() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    twice = [seen("a", "encoding", State.RUNNING)] * 2
    knowledge.apply(knowledge.plan(at(10.0), observations=twice))
    assert set(knowledge.snapshot(10.0).counts.values()) == {1}


def test_a_forgotten_task_is_gone_but_what_it_counted_stays() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    knowledge.apply(knowledge.plan(at(10.0), observations=[seen("a", "encoding", State.RUNNING)]))
    knowledge.apply(knowledge.plan(at(20.0), gone=["a", "never known"]))

    snapshot = knowledge.snapshot(20.0)
    assert shown(snapshot) == {}
    assert not knowledge.tasks
    assert not knowledge.active
    assert sum(snapshot.counts.values()) == 1


def test_phases_that_a_provider_makes_up_stay_bounded() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    for number in range(40):
        invented = [seen(f"task {number}", f"phase {number}", State.UNKNOWN)]
        knowledge.apply(knowledge.plan(at(10.0), observations=invented))

    phases = [task.seen.phase for task in knowledge.snapshot(10.0).tasks]
    assert phases[:MAX_UNKNOWN_PHASES] == [f"phase {number}" for number in range(16)]
    assert phases[MAX_UNKNOWN_PHASES:] == ["other"] * 24


def test_a_known_phase_is_kept_however_many_were_made_up() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    invented = [seen(f"task {number}", f"phase {number}", State.UNKNOWN) for number in range(40)]
    knowledge.apply(knowledge.plan(at(10.0), observations=invented))
    knowledge.apply(knowledge.plan(at(11.0), observations=[seen("a", "saving", State.RUNNING)]))
    assert shown(knowledge.snapshot(11.0))["a"] == "saving"


def test_an_old_task_is_remembered_well_enough_to_tell_whether_an_answer_is_news() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    ended = seen("a", "failed", State.FAILED, warnings=2, message="out of memory")
    knowledge.apply(knowledge.plan(at(10.0), observations=[ended]))
    knowledge.apply(knowledge.plan(at(500.0)))

    assert knowledge.plan(at(510.0), observations=[ended]).tasks == ()
    task = knowledge.task("a")
    assert task is not None
    assert (task.seen, task.ended) == (ended, 10.0)


def test_the_oldest_ended_tasks_can_be_forgotten_a_few_at_a_time() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    for second in range(5):
        ended = seen(f"task {second}", "completed", State.COMPLETED)
        knowledge.apply(knowledge.plan(at(10.0 + second), observations=[ended]))
    knowledge.apply(knowledge.plan(at(500.0), observations=[seen("active", "queued", State.QUEUED)]))

    assert knowledge.ended_before(13.0, most=2) == ("task 0", "task 1")
    assert knowledge.ended_before(13.0, most=9) == ("task 0", "task 1", "task 2")
    assert knowledge.ended_before(10.0, most=9) == ()


def test_what_is_dumped_can_be_known_again() -> None:
    knowledge = Knowledge(ACCOUNT, opened=7.0, retention=RETENTION)
    knowledge.apply(knowledge.plan(at(10.0), observations=[seen("old", "completed", State.COMPLETED)]))
    knowledge.apply(
        knowledge.plan(
            at(100.0),
            observations=[seen("recent", "error", State.FAILED), seen("now", "encoding", State.RUNNING)],
            position=99.0,
        )
    )
    tasks, counts = knowledge.dump()
    again = Knowledge(
        ACCOUNT, opened=7.0, retention=RETENTION, position=99.0, tasks=tasks, counts=counts, now=110.0
    )
    assert shown(again.snapshot(110.0)) == {"now": "encoding", "recent": "error"}
    assert set(again.tasks) == {"old", "recent", "now"}
    assert again.snapshot(110.0).counts == knowledge.snapshot(110.0).counts
    assert [again.task(each) for each in ("old", "recent", "now")] == [
        knowledge.task(each) for each in ("old", "recent", "now")
    ]


def test_the_last_task_that_failed_stands_for_the_failures() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0, retention=RETENTION)
    for second, name in enumerate(("first", "second")):
        knowledge.apply(knowledge.plan(at(10.0 + second), observations=[seen(name, "error", State.FAILED)]))
    failures = Count(Tally.FAILURES, ("transcode", "unknown"))
    assert knowledge.snapshot(20.0).exemplars[failures] == ("second", 1, 11.0)
