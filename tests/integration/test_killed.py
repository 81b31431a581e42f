"""Killed at any moment, the exporter goes on with exact counters: no event lost, none counted twice."""

# ruff: noqa: T201 - the figures are worth reading

import json
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from exporter.assembly import Exporter
from exporter.simulator import Fault, FaultKind, Simulator
from tests.deeds import LivepeerDeeds, QencodeDeeds, Sample, counted
from tests.integration.watcher import Board, Place, Watcher, watcher
from tests.support import samples

KILLS = 100
STEP = 20.0
"""Simulated seconds between two looks: six steps are Livepeer's overlap."""


class World:
    """Both services, whose tasks change step by step; within a step time stands still."""

    def __init__(self, simulator: Simulator, folder: Path, seed: int) -> None:
        self.simulator = simulator
        self.random = Random(seed)
        now = simulator.clock.time
        self.livepeer = LivepeerDeeds(simulator.livepeer.account, now, self.random)
        self.qencode = QencodeDeeds(simulator.qencode, now, self.random)
        self.step = 0
        self.place = Place(
            folder / "ledger.db",
            folder / "board",
            folder / "tokens.json",
            simulator.qencode_url,
            simulator.livepeer_url,
            simulator.livepeer_key,
        )
        self.board = Board(self.place.board)

    def begin(self) -> None:
        """What had ended before anybody watched is history; what goes on is not."""
        for _ in range(3):
            self.simulator.livepeer.account.complete(self.simulator.livepeer.account.add("upload"))
        self.past = [self.simulator.qencode.add("error", error=True) for _ in range(3)]
        self.simulator.clock.advance(STEP)
        self._create()
        self._write_tokens()
        self.board.write(self.simulator.clock.time(), 0)

    def change(self) -> Iterator[None]:
        """Let a step happen, and pause within it; what is observable is counted beforehand."""
        self.simulator.clock.advance(STEP)
        self.board.write(self.simulator.clock.time(), self.step)
        for _ in range(self.random.randrange(4, 12)):
            self.livepeer.happen()
            yield
            self.qencode.happen()
            yield
        self._create()
        self._write_tokens()
        self.step += 1
        self.board.write(self.simulator.clock.time(), self.step)

    @property
    def expected(self) -> Mapping[Sample, float]:
        return {**self.livepeer.observable.counts, **self.qencode.observable.counts}

    def _create(self) -> None:
        for _ in range(self.random.randrange(1, 4)):
            self.livepeer.create()
            self.qencode.create()

    def _write_tokens(self) -> None:
        groups = [{"targets": [*self.past, *self.qencode.tokens]}]
        fresh = self.place.tokens.with_suffix(".new")
        fresh.write_text(json.dumps(groups))
        fresh.replace(self.place.tokens)


def entries_on_disk(ledger: Path, folder: Path) -> float:
    """The phase entries in the file as a killed process left it: read from a copy, so as not to mend it."""
    for companion in ("", "-wal"):
        shutil.copy(f"{ledger}{companion}", folder / f"copy{companion}")
    with closing(sqlite3.connect(folder / "copy")) as connection:
        (entries,) = connection.execute(
            "SELECT coalesce(sum(value), 0) FROM counts WHERE tally = 'phase_entries'"
        ).fetchone()
    return float(entries)


def entries(world: World) -> float:
    return sum(n for (name, _), n in world.expected.items() if name.endswith("entries_total"))


def where_it_died(world: World, before: float, folder: Path) -> str:
    """What a killed process had written of a step."""
    written = entries_on_disk(world.place.ledger, folder)
    if written == before:
        return "with nothing of the step on the disk"
    return "with all of it" if written == entries(world) else "with a part of it"


def kill_within_a_poll(world: World, watching: Watcher) -> None:
    """Kill it some requests from now, and a moment later: before an answer, before a commit, or within it."""
    wait_for_requests(world, world.random.randrange(8))
    time.sleep(world.random.uniform(0, 0.006))
    watching.kill()


def wait_for_requests(world: World, number: int) -> None:
    log = world.simulator.requests
    goal = len(log) + number
    deadline = time.monotonic() + 60
    while len(log) < goal:
        assert time.monotonic() < deadline, "nobody polls"
        time.sleep(0.0005)


def live_and_die(world: World, watching: Watcher, folder: Path) -> str:
    """Let a step happen, and kill the watcher once, while tasks change or when all have; return when."""
    before = entries(world)
    early = world.random.randrange(8) if world.random.random() < 0.2 else -1
    died = ""
    for place, _ in enumerate(world.change()):
        if place == early:
            watching.kill()
            watching.start()
            died = "while tasks changed"
    if not died:
        kill_within_a_poll(world, watching)
        died = where_it_died(world, before, folder)
        watching.start()
    # Twice: Qencode's masters, who tell all, are asked once api.qencode.com has named them.
    watching.saw(world.step, times=2)
    return died


def test_killed_a_hundred_times_it_has_counted_everything_once(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(simulator, tmp_path, seed=1)
    world.begin()
    started = time.monotonic()
    with watcher(world.place) as watching:
        watching.start()
        watching.saw(0, times=2)
        deaths = Counter(live_and_die(world, watching, tmp_path) for _ in range(KILLS))
        watching.kill()
    seconds = time.monotonic() - started

    exporter = Exporter(world.place.config(), clock=world.board)
    with closing(exporter):
        exporter.refresh(60.0)
        shown = counted(sample for metric in exporter.registry.collect() for sample in metric.samples)
    tasks = len(world.livepeer.observable.tasks) + len(world.qencode.observable.tasks)
    with capsys.disabled():
        print(f"\n  {deaths.total()} kills in {seconds:.0f} s: {dict(sorted(deaths.items()))}")
        print(f"  {tasks} tasks, {len(world.expected)} counters; phase entries that were there to be seen:")
        print(f"  {entries(world):.0f}, counted: {sum(n for k, n in shown.items() if 'entries' in k[0]):.0f}")

    assert deaths.total() == KILLS
    assert {"with nothing of the step on the disk", "with all of it"} < deaths.keys()
    assert shown == pytest.approx(world.expected)


def test_what_had_ended_before_is_history_though_it_was_killed_before_its_first_answer(
    simulator: Simulator, tmp_path: Path
) -> None:
    world = World(simulator, tmp_path, seed=2)
    world.begin()
    simulator.faults.set("livepeer", Fault(FaultKind.HANG))
    simulator.faults.set("qencode_api", Fault(FaultKind.HANG))
    with watcher(world.place) as watching:
        watching.start()
        wait_for_requests(world, 2)
        watching.kill()
        simulator.faults.clear()
        simulator.clock.advance(STEP)
        world.board.write(simulator.clock.time(), 1)
        watching.start()
        watching.saw(1, times=2)
        watching.kill()
    with closing(Exporter(world.place.config(), clock=world.board)) as exporter:
        failed = samples(exporter, "transcoding_task_failures_total")
    assert sum(failed.values()) == 0
