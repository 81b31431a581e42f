"""Tasks are counted in groups: that must come to the same as a look at each of them."""

import math
from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import families
from exporter.metrics.fleet import fleet
from exporter.metrics.groups import groups_of
from exporter.metrics.view import Picture, View
from exporter.model import TASK_TYPES, Account, FailureReason, Observation, Provider, State, Task
from exporter.tracking.knowledge import Snapshot

STUDIO = Account(Provider.LIVEPEER, "studio")
VOD = Account(Provider.QENCODE, "vod")
NOW = 1_000.0
VIEW = View(stall_after={State.QUEUED: 20.0, State.RUNNING: 10.0})

Labels = tuple[str, ...]

MOMENTS = st.integers(0, 30).map(float)
REASONS = st.sampled_from((None, FailureReason.DRM, FailureReason.STITCH))


@st.composite
def tasks(draw: st.DrawFn, account: Account) -> Task:
    """A task of an account; so few are possible that many are alike in all but one thing."""
    state = draw(st.sampled_from(State))
    seen = Observation(
        task="t",
        task_type=draw(st.sampled_from(TASK_TYPES[account.provider][:2])),
        phase=draw(st.sampled_from(("pending", "running", "elsewhere"))),
        state=state,
        dated=0.0,
        reason=draw(REASONS) if state is State.FAILED else None,
        created=draw(st.none() | MOMENTS),
    )
    ended = NOW - 1 if state.terminal else None
    history = state.terminal and draw(st.booleans())
    return Task(seen, None, changed=NOW - draw(MOMENTS), ended=ended, history=history)


SNAPSHOTS = st.tuples(
    *(
        st.builds(
            lambda at, tasks, account=account: Snapshot(account, at, tuple(tasks), {}, {}),
            st.integers(-5, 5).map(lambda seconds: NOW + seconds),
            st.lists(tasks(account), max_size=12),
        )
        for account in (STUDIO, VOD)
    )
)


TASKS, STALLED, FAILED, OLDEST = (
    family.name for family in (families.TASKS, families.STALLED, families.FAILED, families.OLDEST_ACTIVE)
)


def told(picture: Picture) -> Mapping[str, Mapping[Labels, float]]:
    """Return what the gauges of the fleet tell; those that are at 0 from the start are left out."""
    gauges = {}
    for family, samples in fleet(picture, groups_of(picture)):
        if family.name in (TASKS, STALLED, FAILED, OLDEST):
            values = [(sample.labels, sample.value) for sample in samples]
            assert len(dict(values)) == len(values), "a sample comes twice"
            gauges[family.name] = {
                labels: value for labels, value in values if value or family.name == OLDEST
            }
    return gauges


def one_by_one(picture: Picture) -> Mapping[str, Mapping[Labels, float]]:
    """Return what they should tell, from a look at each task."""
    number, stalled, failed = Counter[Labels](), Counter[Labels](), Counter[Labels]()
    oldest: dict[Labels, float] = {}
    for snapshot in picture.snapshots:
        for task in snapshot.tasks:
            seen = task.seen
            where = (*snapshot.account, seen.task_type)
            number[*where, seen.phase, seen.state] += 1
            if seen.state is State.FAILED and not task.history:
                failed[*where, seen.reason or "unknown"] += 1
            if task.ended is not None or (seen.task_type, seen.phase) == ("upload", "pending"):
                continue
            if snapshot.at - task.changed >= picture.view.stall_after.get(seen.state, math.inf):
                stalled[*where, seen.phase] += 1
            if seen.created is not None:
                key = (*where, seen.state)
                oldest[key] = min(seen.created, oldest.get(key, math.inf))
    return {TASKS: number, STALLED: stalled, FAILED: failed, OLDEST: oldest}


@given(SNAPSHOTS)
def test_given_any_tasks_when_counted_in_groups_then_it_is_what_a_look_at_each_of_them_tells(
    snapshots: tuple[Snapshot, ...],
) -> None:
    picture = Picture(snapshots, VIEW)

    assert told(picture) == one_by_one(picture)


def test_given_tasks_that_become_stalled_one_by_one_then_there_is_a_next_moment_until_all_are() -> None:
    runs = Observation(task="t", task_type="upload", phase="running", state=State.RUNNING, dated=0.0)
    alike = tuple(Task(runs, None, changed=NOW + seconds) for seconds in (2.0, 0.0, 1.0))

    def at(seconds: float) -> tuple[int, float]:
        (group,) = groups_of(Picture((Snapshot(STUDIO, NOW + seconds, alike, {}, {}),), VIEW))
        return group.stalled, group.stalls_next - NOW

    assert [at(seconds) for seconds in (9.9, 10.0, 11.5, 12.0, 900.0)] == [
        (0, 10.0),
        (1, 11.0),
        (2, 12.0),
        (3, math.inf),
        (3, math.inf),
    ]


def test_given_tasks_that_are_never_stalled_then_there_is_no_next_moment() -> None:
    waits = Observation(task="t", task_type="upload", phase="pending", state=State.QUEUED, dated=0.0)
    done = Observation(task="u", task_type="upload", phase="completed", state=State.COMPLETED, dated=0.0)
    unlimited = Observation(task="v", task_type="upload", phase="elsewhere", state=State.UNKNOWN, dated=0.0)
    tasks = (Task(waits, None, NOW), Task(done, None, NOW, ended=NOW), Task(unlimited, None, NOW))

    groups = groups_of(Picture((Snapshot(STUDIO, NOW + 900, tasks, {}, {}),), VIEW))

    assert [(group.phase, group.stalled, group.stalls_next) for group in groups] == [
        ("pending", 0, math.inf),
        ("completed", 0, math.inf),
        ("elsewhere", 0, math.inf),
    ]
