"""What is kept from scrape to scrape: only what has changed is written, and what is gone is let go."""

import re
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import pytest

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture, View
from exporter.model import Observation, State
from exporter.tracking.knowledge import Exemplar, Knowledge, Snapshot
from exporter.tracking.tally import Buckets, Count, Tally
from exporter.tracking.tracker import Moment
from exporter.viewing import hashed
from tests.exposed import (
    FORMATS,
    NOW,
    OPENMETRICS,
    OTHERS,
    SMALL,
    STALLED,
    STRANGE,
    STUDIO,
    TEXT,
    VOD,
    Desk,
    a_picture,
    by_family,
    expected,
    pieces,
    rendered,
    seen_at,
    task,
)

A, B, C = (task(name) for name in "abc")

FAILED = Count(Tally.FAILURES, ("transcode", "drm"))
FIRST = Snapshot(VOD, NOW, (A, B), {FAILED: 2.0}, {FAILED: Exemplar("a", 1.25, NOW)})
SECOND = Snapshot(STRANGE, NOW, (task("a", progress=0.5), C), {}, {})
WHOLE = Picture((FIRST, SECOND), View(stall_after=STALLED, buckets=SMALL))


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
