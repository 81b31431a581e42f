"""Whatever happens, the exposition says, sample by sample, what the official client makes of a collector."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture, View
from exporter.model import PHASES, TASK_TYPES, Account, FailureReason, Observation, State, Task
from exporter.tracking.knowledge import Exemplar, Snapshot
from exporter.tracking.tally import SUM, Buckets, Count, Tally
from exporter.viewing import hashed, plain
from tests.exposed import (
    ACCOUNTS,
    FORMATS,
    NOW,
    ODD,
    OTHERS,
    SMALL,
    STALLED,
    TEXT,
    VOD,
    by_family,
    expected,
    rendered,
)

TEXTS = st.sampled_from(ODD) | st.text(st.sampled_from('\\\n"{}%s,=#a🎬é '), max_size=5)
# The official parser does not read an odd number of quotes in an exemplar; Prometheus does
# (tests/integration/test_scraped_text.py).
READABLE = TEXTS.map(lambda text: text.replace('"', '""'))
IDS = st.sampled_from(("t", "T", "", '"', "\\\n", "%s{}", "\u202e🎬"))
PHASE = st.sampled_from([phase for phases in PHASES.values() for phase in phases]) | TEXTS
TYPES = st.sampled_from([each for types in TASK_TYPES.values() for each in types])
TIMES = st.none() | st.floats(0, 2e9) | st.sampled_from((0.0, 1e-9, 1_795_294_800.0, 1_795_294_800.123456))
CLASHING = (
    "project",
    "exported_project",
    "exported_exported_project",
    "task",
    "reason",
    "le",
    "quantile",
    "a",
    "z",
)
MANY = [f"label_{number:02}" for number in range(90)]
LABELS = st.dictionaries(st.sampled_from(CLASHING), TEXTS, max_size=3) | st.builds(
    lambda start, text: dict.fromkeys(MANY[start : start + 16], text), st.integers(0, 74), TEXTS
)
SEEN = st.fixed_dictionaries(
    {
        "task_type": TYPES,
        "phase": PHASE,
        "state": st.sampled_from((State.QUEUED, State.RUNNING, State.UNKNOWN)),
    },
    optional={
        "progress": st.none() | st.floats(0, 1),
        "retries": st.none() | st.integers(0, 3),
        **dict.fromkeys(("created", "scheduled", "updated"), TIMES),
        **dict.fromkeys(("project", "input_asset", "output_asset"), TEXTS),
        "labels": LABELS.map(lambda labels: tuple(sorted(labels.items()))),
    },
)
ENDS = st.sampled_from((State.COMPLETED, State.FAILED, State.CANCELLED))
TALLIED = st.one_of(
    st.tuples(st.just(Tally.PHASE_ENTRIES), st.tuples(TYPES, PHASE, st.sampled_from(State))),
    st.tuples(st.sampled_from((Tally.RETRIES, Tally.WARNINGS)), st.tuples(TYPES)),
    st.tuples(st.just(Tally.FAILURES), st.tuples(TYPES, st.sampled_from(FailureReason))),
    st.tuples(st.just(Tally.OUTPUT_BYTES), st.tuples(TYPES, st.sampled_from(("video", "audio")))),
    st.tuples(st.just(Tally.DURATION), st.tuples(TYPES, ENDS, st.sampled_from(("60.0", "+Inf", SUM)))),
    st.tuples(st.just(Tally.PHASE_DURATION), st.tuples(TYPES, PHASE, st.sampled_from(("1.0", "+Inf", SUM)))),
)


@dataclass
class Known:
    """What is known about an account."""

    tasks: dict[str, Task] = field(default_factory=dict)
    counts: dict[Count, float] = field(default_factory=dict)
    exemplars: dict[Count, Exemplar] = field(default_factory=dict)

    def snapshot(self, account: Account, at: float, before: Snapshot) -> Snapshot:
        """Return how it stands; as with `Knowledge`, what is the same as before is the same object."""
        fresh = Snapshot(account, at, tuple(self.tasks.values()), {**self.counts}, {**self.exemplars})
        names = ("tasks", "counts", "exemplars")
        old = {name: kept for name in names if (kept := getattr(before, name)) == getattr(fresh, name)}
        return replace(fresh, **old)


class Scrapes(RuleBasedStateMachine):
    """After each step, one format is compared with what the official client says; in the end, both are."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.to_date = NOW, 0.0
        self.view = View(stall_after=STALLED, buckets=SMALL)
        self.accounts: dict[Account, Known] = {}
        self.snapshots: dict[Account, Snapshot] = {}
        self.exposition = Exposition(self.picture, OTHERS)
        self.formats = cycle(FORMATS)

    def picture(self) -> Picture:
        nothing = Snapshot(VOD, NOW, (), {}, {})
        self.snapshots = {
            account: known.snapshot(account, self.now, self.snapshots.get(account, nothing))
            for account, known in self.accounts.items()
        }
        return Picture(tuple(self.snapshots.values()), self.view, self.to_date)

    def of(self, account: Account) -> Known:
        return self.accounts.setdefault(account, Known())

    def all(self) -> list[tuple[Known, Task]]:
        return [(known, task) for known in self.accounts.values() for task in known.tasks.values()]

    @rule(account=st.sampled_from(ACCOUNTS), task=IDS, seen=SEEN)
    def a_task_comes_or_comes_back_or_changes(
        self, account: Account, task: str, seen: Mapping[str, Any]
    ) -> None:
        observation = Observation(task=task, dated=0.0, **seen)
        self.of(account).tasks[task] = Task(observation, observation.retries, changed=self.now)

    @precondition(lambda self: self.all())
    @rule(
        data=st.data(), state=ENDS, reason=st.none() | st.sampled_from(FailureReason), history=st.booleans()
    )
    def a_task_ends(
        self, data: st.DataObject, state: State, reason: FailureReason | None, history: bool
    ) -> None:
        known, task = data.draw(st.sampled_from(self.all()))
        seen = msgspec.structs.replace(
            task.seen, state=state, reason=reason if state is State.FAILED else None, finished=self.now
        )
        known.tasks[task.id] = msgspec.structs.replace(task, seen=seen, ended=self.now, history=history)

    @precondition(lambda self: self.all())
    @rule(data=st.data(), progress=st.floats(0, 1))
    def a_task_gets_on(self, data: st.DataObject, progress: float) -> None:
        known, task = data.draw(st.sampled_from(self.all()))
        seen = msgspec.structs.replace(task.seen, progress=progress)
        known.tasks[task.id] = msgspec.structs.replace(task, seen=seen, changed=self.now)

    @precondition(lambda self: self.all())
    @rule(data=st.data())
    def a_task_goes(self, data: st.DataObject) -> None:
        known, task = data.draw(st.sampled_from(self.all()))
        del known.tasks[task.id]

    @rule(account=st.sampled_from(ACCOUNTS))
    def an_account_comes(self, account: Account) -> None:
        self.of(account)

    @precondition(lambda self: self.accounts)
    @rule(data=st.data())
    def an_account_goes(self, data: st.DataObject) -> None:
        del self.accounts[data.draw(st.sampled_from(list(self.accounts)))]

    @rule(
        account=st.sampled_from(ACCOUNTS),
        tallied=TALLIED,
        number=st.integers(0, 2**60) | st.just(2**70),
        exemplar=st.none()
        | st.tuples(READABLE | st.sampled_from(("x" * 124, "x" * 125)), st.floats(0, 1e9), st.floats(0, 2e9)),
    )
    def something_is_counted(
        self,
        account: Account,
        tallied: tuple[Tally, tuple[str, ...]],
        number: float,
        exemplar: tuple[str, float, float] | None,
    ) -> None:
        count = Count(*tallied)
        self.of(account).counts[count] = number
        if exemplar:
            self.of(account).exemplars[count] = Exemplar(*exemplar)

    @rule(seconds=st.sampled_from((0.0, 1e-6, 1.0, 5.0, 60.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.all())
    @rule(just=st.booleans())
    def the_next_moment_comes_at_which_a_task_is_stalled(self, just: bool) -> None:
        after = self.view.stall_after
        moments = [task.changed + after.get(task.seen.state, math.inf) for _, task in self.all()]
        moment = min((moment for moment in moments if self.now < moment < math.inf), default=self.now)
        self.now = moment if just else max(self.now, math.nextafter(moment, 0))

    @rule(seconds=st.sampled_from((0.0, 0.1, -3600.0)))
    def the_clock_is_set(self, seconds: float) -> None:
        self.to_date = seconds

    @rule(
        change=st.fixed_dictionaries(
            {},
            optional={
                "per_task": st.booleans(),
                "max_task_series": st.integers(0, 5) | st.just(20_000),
                "label": st.sampled_from((plain, hashed)),
                "stall_after": st.sampled_from((STALLED, {}, {State.RUNNING: 60.0})),
                "buckets": st.sampled_from((SMALL, Buckets((1.0, 60.0), ()))),
            },
        )
    )
    def the_view_changes(self, change: Mapping[str, Any]) -> None:
        self.view = replace(self.view, **change)

    @invariant()
    def it_says_what_the_official_client_says(self) -> None:
        self.scrape(next(self.formats))

    def teardown(self) -> None:
        for accept in (*FORMATS, TEXT):
            self.scrape(accept)

    def scrape(self, accept: str) -> None:
        ours = rendered(self.exposition, accept)
        assert by_family(ours, accept) == by_family(expected(self.picture(), accept), accept)


TestWhateverHappens = Scrapes.TestCase
TestWhateverHappens.settings = settings(max_examples=12, stateful_step_count=30)
