"""The fast exposition says, sample by sample, what the official client makes of the collector."""

import gzip
import math
import re
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import cycle
from typing import Any, NamedTuple

import msgspec
import prometheus_client as official
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.collector import TaskCollector
from exporter.metrics.exposition import Exposition, Text
from exporter.metrics.view import Picture, View
from exporter.model import PHASES, TASK_TYPES, Account, FailureReason, Observation, Provider, State, Task
from exporter.pieces import Piece, gzipped
from exporter.tracking.knowledge import Exemplar, Knowledge, Snapshot
from exporter.tracking.tally import SUM, Buckets, Count, Tally
from exporter.tracking.tracker import Moment
from exporter.viewing import hashed, plain

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
FORMATS = (TEXT, OPENMETRICS)

ODD = (
    *(
        "",
        "\\",
        "\n",
        '"',
        "\\n",
        '\\"',
        '"\n\\',
        "\\\\",
        "ends with \\",
        'a="b",c',
        "}",
        "} 1\n",
        "{}",
        "{0}",
    ),
    *(
        "%",
        "%s",
        "%%",
        "%(task)s",
        " ",
        " # {",
        "# EOF\n",
        "\r",
        "\t",
        "\x00",
        "\x85\u2028",
        "ü",
        "🎬",
        "\u202eabc",
    ),
)
"""What needs escaping, what looks as if it did, and what a format could stumble over."""

VOD = Account(Provider.QENCODE, "vod")
STUDIO = Account(Provider.LIVEPEER, "studio")
STRANGE = Account(Provider.QENCODE, '"str{a}%s\\nge"\n🎬')
ACCOUNTS = (VOD, STUDIO, STRANGE)

NOW = 1_000.0
SMALL = Buckets((60.0,), (1.0,))
STALLED = {State.QUEUED: 7.5, State.RUNNING: 5.0, State.UNKNOWN: 0.0}


def others() -> CollectorRegistry:
    """What else there is, with samples of each kind."""
    registry = CollectorRegistry()
    gauge = official.Gauge("gauge", 'Help with \\, \n and ".', ["text"], registry=registry)
    for text in ODD:
        gauge.labels(text).set(ODD.index(text))
    official.Counter("counter", "A counter.", ["a"], registry=registry).labels("b").inc(
        2, {"task": '""\\\n🎬'}
    )
    official.Histogram("histogram", "A histogram.", registry=registry).observe(0.3, {"task": "t"})
    return registry


OTHERS = others()


# --- What a text says ------------------------------------------------------------------------------------


class Value(NamedTuple):
    """A sample that can be counted."""

    name: str
    labels: frozenset[tuple[str, str]]
    value: float
    timestamp: object
    exemplar: tuple[object, ...] | None


class Said(NamedTuple):
    """A family, as a parser of the official client has it."""

    kind: str
    help: str
    samples: Counter[Value]


def said(metric: Metric) -> Said:
    samples = (
        Value(name, frozenset(labels.items()), float(value), timestamp, exemplar and _exemplar(exemplar))
        for name, labels, value, timestamp, exemplar, *_ in metric.samples
    )
    return Said(metric.type, metric.documentation, Counter(samples))


def _exemplar(exemplar: official.samples.Exemplar) -> tuple[object, ...]:
    return *exemplar.labels.items(), float(exemplar.value), float(exemplar.timestamp or 0)


def whole(text: str, accept: str) -> Mapping[str, Said]:
    """Return the families of a text."""
    read: Iterable[Metric] = parse_openmetrics(text) if accept == OPENMETRICS else parse_text(text)  # type: ignore[no-untyped-call]
    families = list(read)
    assert len({family.name for family in families}) == len(families)
    return {family.name: said(family) for family in families}


def by_family(text: str, accept: str) -> Mapping[str, Said]:
    """Return the same faster: what was read before is not read again."""
    blocks = re.split(r"^(?=# HELP )", text.removesuffix("# EOF\n"), flags=re.M)
    families = [one for block in filter(None, blocks) for one in _block(block, accept).items()]
    assert len(dict(families)) == len(families), "a family comes twice"
    return dict(families)


@lru_cache(maxsize=4096)
def _block(block: str, accept: str) -> Mapping[str, Said]:
    families = whole(block + "# EOF\n" * (accept == OPENMETRICS), accept)
    assert len(families) == 1, f"lines of another family stand among these: {block}"
    return families


def rendered(exposition: Exposition, accept: str = TEXT) -> str:
    return joined(exposition.render(accept), accept)


def joined(answer: Text, accept: str) -> str:
    """Return the text of an answer, which is the same packed."""
    text = b"".join(piece.text for piece in answer.pieces).decode()
    assert gzip.decompress(b"".join(gzipped(answer.pieces))).decode() == text
    assert [line for line in text.split("\n") if line == "# EOF"] == ["# EOF"] * (accept == OPENMETRICS)
    assert text.endswith("# EOF\n") == (accept == OPENMETRICS)
    return text


def expected(picture: Picture, accept: str = TEXT) -> str:
    """Return what the official client makes of it."""
    registry = CollectorRegistry()
    registry.register(OTHERS)
    registry.register(TaskCollector(lambda: picture))
    encode, _ = choose_encoder(accept)
    return encode(registry).decode()


# --- Whatever happens --------------------------------------------------------------------------------------


TEXTS = st.sampled_from(ODD) | st.text(st.sampled_from('\\\n"{}%s,=#a🎬é '), max_size=5)
# The official parser does not read an odd number of quotes in an exemplar; Prometheus does (test_server.py).
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


# --- What is kept ----------------------------------------------------------------------------------------


class Watched(Task, frozen=True, weakref=True):
    """A task of which one can tell whether anybody still holds it."""


def task(task_id: str, **fields: Any) -> Watched:
    """A task that runs, last changed at 1000."""
    seen = Observation(task=task_id, task_type="transcode", phase="encoding", state=State.RUNNING, dated=0.0)
    known = {name: fields.pop(name) for name in ("changed", "ended", "retries", "history") if name in fields}
    return Watched(msgspec.structs.replace(seen, **fields), **{"retries": None, "changed": NOW, **known})


def a_picture(*tasks: Task, at: float = NOW, view: View | None = None, to_date: float = 0.0) -> Picture:
    """The account vod has these tasks."""
    view = view or View(stall_after=STALLED, buckets=SMALL)
    return Picture((Snapshot(VOD, at, tasks, {}, {}),), view, to_date)


class Desk:
    """An exposition, the picture that it is shown, and whose rows it has written since one last asked."""

    def __init__(self, picture: Picture) -> None:
        self._labelled: list[str] = []
        self.show(picture)
        self.exposition = Exposition(lambda: self.picture, OTHERS)

    def show(self, picture: Picture) -> None:
        self.picture = replace(picture, view=replace(picture.view, label=self._label))

    def written(self, accept: str = TEXT) -> list[str]:
        """Scrape, and return the tasks whose lines were made for that."""
        self._labelled.clear()
        text = rendered(self.exposition, accept)
        written = list(self._labelled)
        assert by_family(text, accept) == by_family(expected(self.picture, accept), accept)
        return written

    def _label(self, _: Provider, task_id: str) -> str:
        self._labelled.append(task_id)
        return task_id


A, B, C = (task(name) for name in "abc")


FAILED = Count(Tally.FAILURES, ("transcode", "drm"))
FIRST = Snapshot(VOD, NOW, (A, B), {FAILED: 2.0}, {FAILED: Exemplar("a", 1.25, NOW)})
SECOND = Snapshot(STRANGE, NOW, (task("a", progress=0.5), C), {}, {})
WHOLE = Picture((FIRST, SECOND), View(stall_after=STALLED, buckets=SMALL))


def seen_at(at: float, picture: Picture) -> Picture:
    return replace(picture, snapshots=tuple(replace(one, at=at) for one in picture.snapshots))


@pytest.mark.parametrize(
    "after",
    [
        replace(WHOLE, snapshots=(FIRST,)),
        replace(WHOLE, snapshots=(FIRST, SECOND, Snapshot(STUDIO, NOW, (A,), {}, {}))),
        replace(WHOLE, snapshots=(replace(FIRST, account=STRANGE), replace(SECOND, account=VOD))),
        replace(WHOLE, snapshots=(replace(FIRST, tasks=(B,)), SECOND)),
        replace(WHOLE, snapshots=(replace(FIRST, counts={FAILED: 3.0}), SECOND)),
        replace(WHOLE, snapshots=(replace(FIRST, exemplars={FAILED: Exemplar("b", 1.0, NOW)}), SECOND)),
        replace(WHOLE, view=replace(WHOLE.view, per_task=False)),
        replace(WHOLE, view=replace(WHOLE.view, max_task_series=1)),
        replace(WHOLE, view=replace(WHOLE.view, label=hashed)),
        replace(WHOLE, view=replace(WHOLE.view, stall_after={State.RUNNING: 0.0})),
        replace(WHOLE, view=replace(WHOLE.view, buckets=Buckets((1.0,), (2.0,)))),
        replace(WHOLE, to_date=0.5),
        seen_at(NOW + 4.9, WHOLE),
        seen_at(NOW + 5.0, WHOLE),
    ],
    ids=[
        *("account went", "account came", "accounts swapped", "task went", "counted", "exemplar"),
        *("per_task", "max_task_series", "label", "stall_after", "buckets"),
        *("clock", "time passed", "stalled"),
    ],
)
def test_given_one_thing_is_otherwise_and_then_as_before_when_scraped_then_it_shows(after: Picture) -> None:
    turns = [picture for picture in (WHOLE, after, WHOLE) for _ in FORMATS]
    exposition = Exposition(iter(turns).__next__, OTHERS)

    for picture, accept in zip(turns, FORMATS * 3, strict=True):
        assert by_family(rendered(exposition, accept), accept) == by_family(expected(picture, accept), accept)


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_given_an_odd_text_wherever_one_can_be_when_scraped_then_it_is_told_as_it_is(text: str) -> None:
    odd = task(
        text,
        phase=text,
        state=State.UNKNOWN,
        project=text,
        created=1_795_294_800.123456,
        labels=(("customer", text),),
    )
    entries = Count(Tally.PHASE_ENTRIES, ("transcode", text, "unknown"))
    picture = Picture((Snapshot(VOD, NOW, (odd,), {entries: 2.0**53 - 1}, {}),), View(buckets=SMALL))

    for accept in FORMATS:
        families = by_family(rendered(Exposition(lambda: picture, OTHERS), accept), accept)
        assert families == by_family(expected(picture, accept), accept)
        (info,) = families["transcoding_task_info"].samples
        assert {("task", text), ("project", text), ("customer", text)} <= info.labels


def test_given_nothing_has_changed_when_scraped_again_in_whatever_format_then_no_task_is_written() -> None:
    desk = Desk(a_picture(A, B, C))

    assert desk.written() == ["a", "b", "c"]
    assert [desk.written(accept) for accept in (TEXT, OPENMETRICS, TEXT)] == [[], [], []]


@pytest.mark.parametrize(
    ("after", "written"),
    [
        (a_picture(A, task("b", progress=0.5), C), ["b"]),
        (a_picture(A, task("b", state=State.FAILED, phase="error", ended=NOW), C), ["b"]),
        (a_picture(C, B, task("d"), A), ["d"]),
        (a_picture(C), []),
        (a_picture(), []),
        (a_picture(A, B, C, at=NOW + 4.9), []),
    ],
    ids=["one got on", "one failed", "one came", "two went", "all went", "time passed"],
)
def test_given_some_have_changed_when_scraped_then_only_these_are_written(
    after: Picture, written: list[str]
) -> None:
    desk = Desk(a_picture(A, B, C))
    desk.written()
    desk.show(after)

    assert desk.written() == written
    assert desk.written() == []


def test_given_a_task_that_becomes_stalled_when_scraped_then_it_is_written_once_more() -> None:
    slow, brisk, done = task("slow"), task("brisk", changed=NOW + 3), task("done", ended=NOW)
    desk = Desk(a_picture(slow, brisk, done))

    desk.written()
    written = []
    for seconds in (4.9, 5.0, 7.9, 8.0, 900.0):
        desk.show(a_picture(slow, brisk, done, at=NOW + seconds))
        written.append(desk.written())
    assert written == [[], ["slow"], [], ["brisk"], []]


@pytest.mark.parametrize(
    "after",
    [
        a_picture(A, B, to_date=0.5),
        a_picture(A, B, view=View(stall_after={State.RUNNING: 60.0})),
        a_picture(A, B, view=View(stall_after=STALLED, max_task_series=2)),
        a_picture(A, B, task("c", labels=(("customer", "acme"),))),
    ],
    ids=["the clock was set", "another limit of stalls", "another limit of series", "another custom label"],
)
def test_given_all_is_to_be_shown_otherwise_when_scraped_then_every_task_is_written(after: Picture) -> None:
    desk = Desk(a_picture(A, B))
    desk.written()
    desk.show(after)

    assert desk.written()[:2] == ["a", "b"]
    assert desk.written() == []


@pytest.mark.parametrize(
    "after",
    [
        a_picture(B),
        Picture(()),
        a_picture(task("a", progress=0.5)),
        a_picture(view=View(per_task=False)),
    ],
    ids=["it went", "its account went", "it changed", "no task is shown"],
)
def test_given_a_task_that_is_gone_when_scraped_then_it_is_let_go(after: Picture) -> None:
    gone = task("a")
    alive = weakref.ref(gone)
    desk = Desk(a_picture(gone, B))
    del gone
    desk.written()
    assert alive()
    desk.show(after)

    desk.written()

    assert alive() is None


@pytest.mark.parametrize("seconds", [0.0, 5.0, 900.0])
def test_given_time_passes_in_which_nothing_changes_when_scraped_then_nothing_is_another_piece(
    seconds: float,
) -> None:
    # One of them is stalled from the start.
    picture = a_picture(A, task("b", changed=0.0), task("c", changed=NOW + seconds))
    desk = Desk(seen_at(NOW + seconds, picture))
    before = pieces(desk)
    at_once = pieces(desk)
    desk.show(seen_at(NOW + seconds + 4.9, picture))

    assert at_once == pieces(desk) == before


def test_given_one_task_got_on_when_scraped_then_only_what_says_otherwise_is_another_piece() -> None:
    desk = Desk(a_picture(A, B, C))
    before = pieces(desk)
    desk.show(a_picture(A, task("b", progress=0.5, project="p"), C))

    after = pieces(desk)

    # The families of single tasks are the large ones, and the last.
    changed = {name for name in list(after)[-11:] if after[name] != before[name]}
    assert changed == {"transcoding_task_progress_ratio", "transcoding_task_info"}


def pieces(desk: Desk) -> Mapping[str, Sequence[Piece]]:
    """Scrape; return what tells of tasks by family, in pieces of which each is packed once."""
    _, *ours = desk.exposition.render(TEXT).pieces
    families: dict[str, list[Piece]] = {}
    for piece in ours:
        name = re.match(rb"(?:# HELP )?(\w+)", piece.text)
        assert name
        families.setdefault(name[1].decode(), []).append(piece)
    return families


def test_given_tasks_that_come_and_are_forgotten_in_time_when_scraped_then_each_text_is_of_the_present() -> (
    None
):
    knowledge = Knowledge(VOD, opened=0.0, retention=60.0)
    now = 10.0

    def picture() -> Picture:
        return Picture((knowledge.snapshot(now),), View(stall_after=STALLED, buckets=SMALL))

    exposition = Exposition(picture, OTHERS)

    def stalled() -> Mapping[str, float]:
        for accept in FORMATS:
            families = by_family(rendered(exposition, accept), accept)
            assert families == by_family(expected(picture(), accept), accept)
        return {dict(each.labels)["task"]: each.value for each in families[STALLED_TASK].samples}

    def tell(*observations: Observation, gone: Sequence[str] = ()) -> None:
        knowledge.apply(knowledge.plan(Moment(now, now), observations=observations, gone=gone))

    assert stalled() == {}
    tell(A.seen, B.seen)
    assert stalled() == {"a": 0, "b": 0}
    now = 14.9
    assert stalled() == {"a": 0, "b": 0}
    now = 15.0
    assert stalled() == {"a": 1, "b": 1}
    tell(msgspec.structs.replace(B.seen, progress=0.5))
    assert stalled() == {"a": 1, "b": 0}
    tell(msgspec.structs.replace(A.seen, phase="completed", state=State.COMPLETED))
    assert (stalled(), shown(exposition)) == ({"b": 0}, {"a", "b"})
    now = 74.9
    assert (stalled(), shown(exposition)) == ({"b": 1}, {"a", "b"})
    now = 75.0
    assert (stalled(), shown(exposition)) == ({"b": 1}, {"b"})
    tell(gone=["b"])
    assert (stalled(), shown(exposition)) == ({}, set())


def test_given_nothing_is_retained_when_a_task_ends_at_once_then_it_is_counted() -> None:
    knowledge = Knowledge(VOD, opened=0.0, retention=0.0)
    exposition = Exposition(lambda: Picture((knowledge.snapshot(NOW),)), OTHERS)
    told = re.compile(
        r'^transcoding_task_phase_entries_total\{.*phase="saved",state="completed"\} (.+)', re.M
    )

    assert told.findall(rendered(exposition)) == ["0"]
    completed = msgspec.structs.replace(A.seen, phase="saved", state=State.COMPLETED, dated=NOW)
    knowledge.apply(knowledge.plan(Moment(NOW, NOW), observations=[completed]))
    assert told.findall(rendered(exposition)) == ["1"]


STALLED_TASK = "transcoding_task_stalled"


def shown(exposition: Exposition) -> set[str]:
    """The tasks that there is anything of."""
    return set(re.findall(r'\btask="(\w+)"', rendered(exposition)))


# --- Several scrapes at once -----------------------------------------------------------------------------

SLOW, GONE = task("slow"), task("gone", labels=(("customer", "acme"),))
EARLIER = a_picture(SLOW, GONE, at=NOW + 4.9)


@pytest.mark.parametrize(
    "later",
    [
        a_picture(SLOW, GONE, task("new"), at=NOW + 4.9),
        a_picture(task("slow", progress=0.5), at=NOW + 4.9),
        a_picture(SLOW, GONE, at=NOW + 4.9, to_date=-1.0),
        a_picture(SLOW, GONE, at=NOW + 4.9, view=View(label=hashed)),
        a_picture(SLOW, GONE, at=NOW + 4.9, view=View(per_task=False)),
        a_picture(SLOW, GONE, at=NOW + 5.0),
        Picture(()),
    ],
    ids=["came", "changed and went", "clock", "labels", "fleet only", "became stalled", "account went"],
)
@pytest.mark.parametrize("scraped", [0, 1])
def test_given_a_scrape_that_is_overtaken_by_one_with_a_later_picture_then_each_shows_its_own(
    later: Picture, scraped: int
) -> None:
    texts = []

    def overtaken() -> Picture:
        # The picture has been taken; before anything is made of it, somebody else scrapes.
        texts.append(rendered(exposition))
        return EARLIER

    def showing(picture: Picture) -> Callable[[], Picture]:
        return lambda: picture

    # Of a picture that was scraped before, nothing is to be made.
    turns = iter((*[showing(EARLIER)] * scraped, overtaken, showing(later), showing(EARLIER), showing(later)))
    exposition = Exposition(lambda: next(turns)(), OTHERS)
    for _ in range(scraped):
        rendered(exposition)
    texts.extend(rendered(exposition) for _ in range(3))

    for text, picture in zip(texts, (later, EARLIER, EARLIER, later), strict=True):
        assert by_family(text, TEXT) == by_family(expected(picture), TEXT)


def at_step(step: int) -> Picture:
    """Return a picture in which tasks stay, change, come, go and come back; a counter tells the step."""
    stay, come_and_go = STAYING[: 10 - step % 5], STAYING[10 + step % 7 :]
    changed = [task(f"moves {number}", progress=step / 32) for number in range(10)]
    counts = {Count(Tally.RETRIES, ("transcode",)): float(step)}
    snapshots = (
        Snapshot(account, NOW + step, (*stay, *changed, *come_and_go), counts, {})
        for account in (VOD, STRANGE)
    )
    return Picture(tuple(snapshots), UNHURRIED, to_date=float(step // 8))


STAYING = tuple(task(f"stays {number}") for number in range(20))
UNHURRIED = View(stall_after={State.RUNNING: 1e6}, buckets=SMALL)


def test_given_threads_that_scrape_at_once_while_all_changes_then_each_text_shows_one_picture() -> None:
    pictures = list(map(at_step, range(32)))
    exposition = Exposition(iter(pictures).__next__, OTHERS)

    with switching_often(), ThreadPoolExecutor(4) as threads:
        texts = list(threads.map(lambda accept: rendered(exposition, accept), FORMATS * 16))

    steps = set()
    for text, accept in zip(texts, FORMATS * 16, strict=True):
        (step,) = set(re.findall(r'^transcoding_retries_total\{.*task_type="transcode"\} (\d+)', text, re.M))
        assert by_family(text, accept) == by_family(expected(pictures[int(step)], accept), accept)
        steps.add(step)
    assert len(steps) == 32


@contextmanager
def switching_often() -> Iterator[None]:
    """Let threads take turns in the midst of everything."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


# --- What a scraper asks for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "application/json",
        "application/openmetrics-text",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "text/plain;version=1.0.0;escaping=underscores",
        "text/plain;version=1.0.0;escaping=allow-utf-8",
        f"{OPENMETRICS};escaping=underscores",
        f"{OPENMETRICS};escaping=allow-utf-8",
    ],
)
def test_given_a_format_that_the_official_client_knows_then_it_is_that(accept: str) -> None:
    answer = Exposition(lambda: EARLIER, OTHERS).render(accept)

    assert answer.content_type == choose_encoder(accept)[1]
    read_as = OPENMETRICS if answer.content_type.startswith("application/openmetrics-text") else TEXT
    assert whole(joined(answer, read_as), read_as) == whole(expected(EARLIER, accept), read_as)


@pytest.mark.parametrize(
    "accept", ["text/plain;version=newest", "application/openmetrics-text;version=newest", ";;=,", ","]
)
def test_given_a_format_that_nobody_knows_then_it_is_the_oldest_one(accept: str) -> None:
    answer = Exposition(lambda: EARLIER, OTHERS).render(accept)

    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert whole(joined(answer, TEXT), TEXT) == whole(expected(EARLIER), TEXT)


@pytest.mark.parametrize("scheme", ["dots", "values"])
@pytest.mark.parametrize("accept", ["text/plain;version=1.0.0", OPENMETRICS])
def test_given_a_scraper_that_wants_names_escaped_that_need_not_be_then_they_are_not_and_it_is_told(
    accept: str, scheme: str
) -> None:
    answer = Exposition(lambda: EARLIER, OTHERS).render(f"{accept};escaping={scheme}")

    assert answer.content_type.endswith("; charset=utf-8; escaping=underscores")
    assert whole(joined(answer, accept), accept) == whole(expected(EARLIER, accept), accept)


def test_given_a_custom_label_that_takes_the_shown_name_of_another_one_then_no_value_moves_over() -> None:
    # There is room for 64: as the second comes, which more tasks have, there is none left for the first.
    names = [f"a_{number:02}" for number in range(63)]
    fill = [task(f"fill {turn} {name}", labels=((name, "x"),)) for name in names for turn in range(3)]
    kept = task("kept", labels=(("project", "first"),))
    late = [task(f"late {number}", labels=(("exported_project", "second"),)) for number in range(2)]
    desk = Desk(a_picture(*fill, kept))
    desk.written()
    desk.show(a_picture(*fill, kept, *late))

    desk.written()
