"""What is known grows by whole changes, and shows only what is meant to be seen."""

from exporter.model import Account, Observation, Provider, State
from exporter.tracking.knowledge import MAX_UNKNOWN_PHASES, Knowledge, Snapshot
from exporter.tracking.tally import Count, Tally

ACCOUNT = Account(Provider.QENCODE, "vod")
RETENTION = 60.0


def seen(task: str, phase: str, state: State) -> Observation:
    return Observation(task=task, task_type="transcode", phase=phase, state=state, dated=1.0)


def shown(snapshot: Snapshot) -> dict[str, str]:
    return {task.id: task.seen.phase for task in snapshot.tasks}


def test_a_change_is_invisible_until_it_is_applied() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0)
    change = knowledge.plan(10.0, observations=[seen("a", "encoding", State.RUNNING)], position=9.0)

    assert shown(knowledge.snapshot(10.0, RETENTION)) == {}
    assert knowledge.position != 9.0

    knowledge.apply(change)
    assert shown(knowledge.snapshot(10.0, RETENTION)) == {"a": "encoding"}
    assert knowledge.position == 9.0
    assert knowledge.snapshot(10.0, RETENTION).counts == {
        Count(Tally.PHASE_ENTRIES, ("transcode", "encoding", "running")): 1
    }


def test_an_ended_task_is_shown_until_the_retention_is_over_and_known_for_longer() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0)
    knowledge.apply(knowledge.plan(10.0, observations=[seen("a", "completed", State.COMPLETED)]))

    assert shown(knowledge.snapshot(69.9, RETENTION)) == {"a": "completed"}
    assert shown(knowledge.snapshot(70.0, RETENTION)) == {}
    assert "a" in knowledge.tasks
    assert "a" not in knowledge.active


def test_a_task_that_comes_back_is_shown_again() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0)
    knowledge.apply(knowledge.plan(10.0, observations=[seen("a", "failed", State.FAILED)]))
    assert shown(knowledge.snapshot(500.0, RETENTION)) == {}

    knowledge.apply(knowledge.plan(510.0, observations=[seen("a", "queued", State.QUEUED)]))
    assert shown(knowledge.snapshot(9999.0, RETENTION)) == {"a": "queued"}
    assert set(knowledge.active) == {"a"}


def test_a_task_that_comes_twice_in_one_answer_counts_once() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0)
    twice = [seen("a", "encoding", State.RUNNING)] * 2
    knowledge.apply(knowledge.plan(10.0, observations=twice))
    assert set(knowledge.snapshot(10.0, RETENTION).counts.values()) == {1}


def test_a_forgotten_task_is_gone_but_what_it_counted_stays() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0)
    knowledge.apply(knowledge.plan(10.0, observations=[seen("a", "encoding", State.RUNNING)]))
    knowledge.apply(knowledge.plan(20.0, gone=["a", "never known"]))

    snapshot = knowledge.snapshot(20.0, RETENTION)
    assert shown(snapshot) == {}
    assert not knowledge.tasks
    assert not knowledge.active
    assert sum(snapshot.counts.values()) == 1


def test_phases_that_a_provider_makes_up_stay_bounded() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0)
    for number in range(40):
        invented = [seen(f"task {number}", f"phase {number}", State.UNKNOWN)]
        knowledge.apply(knowledge.plan(10.0, observations=invented))

    phases = [task.seen.phase for task in knowledge.snapshot(10.0, RETENTION).tasks]
    assert phases[:MAX_UNKNOWN_PHASES] == [f"phase {number}" for number in range(16)]
    assert phases[MAX_UNKNOWN_PHASES:] == ["other"] * 24


def test_a_known_phase_is_kept_however_many_were_made_up() -> None:
    knowledge = Knowledge(ACCOUNT, opened=0.0)
    invented = [seen(f"task {number}", f"phase {number}", State.UNKNOWN) for number in range(40)]
    knowledge.apply(knowledge.plan(10.0, observations=invented))
    knowledge.apply(knowledge.plan(11.0, observations=[seen("a", "saving", State.RUNNING)]))
    assert shown(knowledge.snapshot(11.0, RETENTION))["a"] == "saving"
