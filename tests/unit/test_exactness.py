"""Whatever is seen of a life, in whatever order, twice, late or across restarts, counts exactly once."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.metrics import families
from exporter.metrics.collector import as_metric
from exporter.metrics.fleet import fleet
from exporter.metrics.groups import groups_of
from exporter.metrics.view import Picture
from exporter.model import Account, Observation, Provider, State
from exporter.tracking.database import Database
from exporter.tracking.database_ledger import DatabaseLedger
from exporter.tracking.knowledge import MAX_UNKNOWN_PHASES, Change, Knowledge
from exporter.tracking.ledger import Terms
from exporter.tracking.tally import DEFAULT_BUCKETS, SUM, Tally
from exporter.tracking.tracker import Moment
from tests.lives import OPENED, Model, Poll, livepeer_polls, qencode_polls

RETENTION = 300.0
HOUR = 3600
STUDIO = Account(Provider.LIVEPEER, "studio")
VOD = Account(Provider.QENCODE, "vod")


class Memory(Protocol):
    """What outlives a restart."""

    def first(self) -> Knowledge: ...

    def commit(self, change: Change) -> None: ...

    def restart(self, knowledge: Knowledge, now: float) -> Knowledge: ...


class Dumped:
    """What is known is carried over whole."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def first(self) -> Knowledge:
        return Knowledge(self._account, OPENED, retention=RETENTION)

    def commit(self, change: Change) -> None:
        pass

    def restart(self, knowledge: Knowledge, now: float) -> Knowledge:
        tasks, counts = knowledge.dump()
        return Knowledge(
            *(knowledge.account, knowledge.opened),
            retention=RETENTION,
            position=knowledge.position,
            tasks=dict(sorted(tasks.items(), key=lambda item: item[1].ended or 0)),
            counts=counts,
            now=now,
        )


class OnDisk:
    """What is known is whatever is found in the file."""

    def __init__(self, account: Account, stack: ExitStack) -> None:
        self._account = account
        self._stack = stack
        self._path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ledger.db"
        self._now = float(OPENED)

    def time(self) -> float:
        return self._now

    monotonic = steady = time

    def first(self) -> Knowledge:
        database = Database(f"sqlite:///{self._path}")
        self._stack.callback(database.close)
        self._ledger = DatabaseLedger(database, self, lambda degraded: None)
        return self._ledger.recall(self._account, Terms(RETENTION, DEFAULT_BUCKETS))

    def commit(self, change: Change) -> None:
        self._ledger.commit(change)

    def restart(self, knowledge: Knowledge, now: float) -> Knowledge:
        self._now = now
        return self.first()


def check(memory: Memory, polls: Sequence[Poll], skew: int) -> None:
    """Let the exporter and the model look at the same, and compare them after each poll."""
    knowledge = memory.first()
    models: dict[str, Model] = {}
    for poll in polls:
        # A restart before anything was seen moves the opening: that is another test's.
        if poll.restart and models:
            knowledge = memory.restart(knowledge, poll.at)
        for part in range(poll.parts):
            seen = poll.shown[part :: poll.parts]
            for each in seen:
                models.setdefault(each.task, Model()).look(poll.at, each)
            moment = Moment(steady=poll.at, page=poll.at + skew)
            change = knowledge.plan(moment, observations=[skewed(each, skew) for each in seen])
            memory.commit(change)
            knowledge.apply(change)
        expected: Counter[tuple[str, ...]] = Counter()
        for model in models.values():
            expected += model.counts()
        assert shown(knowledge, poll.at) == expected
    consistent(knowledge, polls[-1].at)


def skewed(seen: Observation, skew: int) -> Observation:
    """The same by a provider's clock that is wrong; one that tells no times is dated by our own."""
    told = ("created", "scheduled", "updated", "finished")
    moved = {name: time + skew for name in told if (time := getattr(seen, name)) is not None}
    return replace(seen, dated=seen.dated + skew, **moved)


def shown(knowledge: Knowledge, now: float) -> Counter[tuple[str, ...]]:
    """What is counted; of histograms, how many and how much."""
    counted: Counter[tuple[str, ...]] = Counter()
    for count, number in knowledge.snapshot(now).counts.items():
        labels = count.labels[1:]
        assert number >= 0
        if count.tally in {Tally.DURATION, Tally.PHASE_DURATION} and labels[-1] != SUM:
            labels = (*labels[:-1], "count")
        counted[count.tally, *labels] += number  # type: ignore[assignment]
    return +counted


def consistent(knowledge: Knowledge, now: float) -> None:
    """What one scrape shows fits together."""
    snapshot = knowledge.snapshot(now)
    picture = Picture((snapshot,))
    series = fleet(picture, groups_of(picture))
    metrics = {metric.name: list(metric.samples) for metric in map(as_metric, series)}
    assert sum(sample.value for sample in metrics[families.TASKS.name]) == len(snapshot.tasks)
    for family in (families.DURATION, families.PHASE_DURATION):
        samples = metrics[family.name]
        infinite = [s.value for s in samples if s.name.endswith("_bucket") and s.labels["le"] == "+Inf"]
        assert infinite == [s.value for s in samples if s.name.endswith("_count")]
        assert all(s.value >= 0 for s in samples)
    for task in snapshot.tasks:
        assert task.changed <= now
        assert task.retries is None or task.retries >= 0


SKEWS = st.sampled_from([0, HOUR, -HOUR])


@given(livepeer_polls(), SKEWS)
@settings(max_examples=150, deadline=None)
def test_livepeer_tasks_count_as_they_were_seen(polls: Sequence[Poll], skew: int) -> None:
    check(Dumped(STUDIO), polls, skew)


@given(qencode_polls())
@settings(max_examples=100, deadline=None)
def test_qencode_jobs_count_as_they_were_seen(polls: Sequence[Poll]) -> None:
    check(Dumped(VOD), polls, skew=0)


@given(st.one_of(livepeer_polls(), qencode_polls()))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_so_they_do_when_a_file_is_all_that_outlives_a_restart(polls: Sequence[Poll]) -> None:
    account = STUDIO if any(seen.task_type == "upload" for poll in polls for seen in poll.shown) else VOD
    with ExitStack() as stack:
        check(OnDisk(account, stack), polls, skew=0)


def test_phases_that_a_provider_makes_up_stay_bounded_though_tasks_fail_in_them() -> None:
    memory = Dumped(VOD)
    knowledge = memory.first()
    for number in range(40):
        failed = Observation(
            *(f"task {number}", "transcode", f"phase {number}", State.FAILED), dated=OPENED + 1.0
        )
        now = OPENED + 2.0 + number
        knowledge.apply(knowledge.plan(Moment(now, now), observations=[failed]))
        knowledge = memory.restart(knowledge, now)
    phases = {labels[0] for tally, *labels in shown(knowledge, now) if tally is Tally.PHASE_ENTRIES}
    assert len(phases) == MAX_UNKNOWN_PHASES + 1
