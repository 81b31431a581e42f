"""Several scrapes at once: each text shows one picture, its own."""

import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture, View
from exporter.model import State
from exporter.tracking.knowledge import Snapshot
from exporter.tracking.tally import Count, Tally
from exporter.viewing import hashed
from tests.exposed import (
    FORMATS,
    NOW,
    OTHERS,
    SMALL,
    STRANGE,
    TEXT,
    VOD,
    a_picture,
    by_family,
    expected,
    rendered,
    task,
)

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
