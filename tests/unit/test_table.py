"""The lines of single tasks lie in tables: whatever changes in one, and wherever, it says what is so."""

import weakref
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture, View
from exporter.model import FailureReason, State, Task
from exporter.tracking.knowledge import Snapshot
from tests.exposed import (
    FORMATS,
    NOW,
    OTHERS,
    SMALL,
    STALLED,
    STRANGE,
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

# --- More tasks than are written at once -------------------------------------------------------------------

EDGES = (0, 1, 254, 255, 256, 257, 511, 512, 513, 598, 599)
"""The first and the last of 600 tasks, and those beside which one batch of 256 ends and the next begins."""


def one_of_many(number: int) -> Task:
    """A task; each has other lines than its neighbours. Letters of several bytes come in the second batch."""
    failed = number % 7 == 3
    return task(
        # Every other one differs from the one before in nothing but the case of a letter.
        f"{'tT'[number % 2]}{number // 2}{'ä🎬' * (number // 2 % 3) if number >= 256 else ''}",
        phase="error" if failed else "encoding",
        state=State.FAILED if failed else State.RUNNING,
        ended=NOW if failed else None,
        reason=FailureReason.DRM if number % 2 else None,
        progress=number / 600 if number % 3 else None,
        retries=number * 11 if number % 5 else None,
        created=1.7e9 + number / 8 if number % 4 else None,
        # They become stalled one after the other.
        changed=NOW + number % 6,
        project='"%s"\\\n' if number % 50 == 7 else f"p{number}",
        labels=(("customer", "é" * (number % 3)),),
    )


def moved(task: Task) -> Task:
    """The same task with more to tell than before, or with less."""
    seen = task.seen
    told = {"progress": None, "created": 0.5} if seen.progress else {"progress": 1e-7, "created": None}
    return msgspec.structs.replace(task, seen=msgspec.structs.replace(seen, **told))


def scrapes() -> Iterator[Sequence[Task]]:
    """Yield the tasks of an account, scrape by scrape."""
    tasks = list(map(one_of_many, range(600)))
    yield tasks
    for place in EDGES:
        tasks[place] = moved(tasks[place])
    yield tasks
    rest = [one for place, one in enumerate(tasks) if place not in EDGES]
    yield rest
    # They come back, so at the end, and there are tasks that are new.
    tasks = [*rest, *(tasks[place] for place in EDGES), *map(one_of_many, range(600, 603))]
    yield tasks
    # At every other place one changes, and at every ninth one is gone: more than one batch is written.
    tasks = [moved(one) if place % 2 else one for place, one in enumerate(tasks) if place % 9]
    yield tasks
    yield tasks[256:]
    yield tasks[256:257]
    yield [*tasks[:256], tasks[-1]]
    yield ()
    yield tasks[:257]


def test_given_more_tasks_than_are_written_at_once_when_any_change_go_and_come_then_all_is_as_it_is() -> None:
    pictures = [
        Picture(
            # The other account has tasks of the same ids.
            tuple(Snapshot(account, NOW + step, of, {}, {}) for account, of in ((VOD, a), (STRANGE, a[-3:]))),
            View(stall_after=STALLED, buckets=SMALL),
        )
        for step, a in enumerate(map(tuple, scrapes()))
    ]
    exposition = Exposition(iter([picture for picture in pictures for _ in FORMATS]).__next__, OTHERS)

    for step, picture in enumerate(pictures):
        for accept in FORMATS:
            told = by_family(rendered(exposition, accept), accept)
            assert told == by_family(expected(picture, accept), accept), f"scrape {step}, {accept}"


# --- What is kept ------------------------------------------------------------------------------------------


def test_given_tasks_change_go_and_come_when_a_family_tells_the_same_then_it_is_the_same_piece() -> None:
    b, silent, x, a = task("b", created=3.0), task("silent"), task("x", created=2.0), task("a", created=1.0)
    desk = Desk(a_picture(b, silent, x, a))
    before = pieces(desk)
    desk.show(
        a_picture(task("0"), task("a", created=1.0, progress=0.5), x, task("b", created=3.0, retries=1))
    )

    after = pieces(desk)

    assert after[CREATED] == before[CREATED]
    assert after[INFO] != before[INFO]


CREATED, INFO = "transcoding_task_created_timestamp_seconds", "transcoding_task_info"


def test_given_a_task_that_is_the_same_in_another_object_when_scraped_then_the_former_one_is_let_go() -> None:
    former = task("a")
    alive = weakref.ref(former)
    desk = Desk(a_picture(former))
    desk.written()
    desk.show(a_picture(task("a")))
    del former

    desk.written()

    assert alive() is None


@pytest.mark.parametrize(
    "tasks", [(), (task("done", state=State.COMPLETED, ended=NOW),)], ids=["none", "ended"]
)
def test_given_no_task_that_could_be_stalled_when_time_passes_then_nothing_is_another_piece(
    tasks: Sequence[Task],
) -> None:
    picture = a_picture(*tasks)
    desk = Desk(picture)
    before = pieces(desk)
    desk.show(seen_at(NOW + 900, picture))

    assert pieces(desk) == before
