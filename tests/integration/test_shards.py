"""Several exporters share the tasks: together they know everything, each task once, however many they are."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
import requests
from click.testing import CliRunner
from structlog.testing import capture_logs

from exporter.assembly import Exporter
from exporter.cli import main
from exporter.config import Config, LivepeerConfig, PollConfig, QencodeConfig, ShardBy, StorageConfig
from exporter.sharding import Shard
from exporter.simulator import SimulatedClock, Simulator
from exporter.tracking.database_error import DatabaseError
from tests.deeds import LivepeerDeeds, QencodeDeeds, Sample, counted
from tests.processes import run
from tests.scraping import read
from tests.served import qencode, serving, write
from tests.support import (
    START,
    DrivenClock,
    collect,
    exporting,
    livepeer_config,
    qencode_config,
    samples,
    total,
)

POLL = PollConfig(min_poll_interval=0)
STEP = 15.0

# By b2sum, as in tests/unit/test_sharding.py: where the tokens belong, of two shards and of three.
STAYS_AT_0, STAYS_AT_1 = "4" * 32, "0" * 32
FROM_0_TO_2, FROM_1_TO_2 = "1" * 32, "2" * 32


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(clock=SimulatedClock(start=START, speed=0.0)) as simulator:
        yield simulator


@contextmanager
def shards(
    number: int, simulator: Simulator, folder: Path, *accounts: QencodeConfig | LivepeerConfig
) -> Iterator[Sequence[Exporter]]:
    """So many exporters, each with its ledger in a file of its own."""
    clock = DrivenClock(simulator.clock)
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                exporting(
                    clock,
                    *accounts,
                    poll=POLL,
                    storage=f"sqlite:///{folder}/{each}.db",
                    shard=Shard(each, number),
                )
            )
            for each in range(number)
        ]


def look(exporters: Iterable[Exporter]) -> None:
    """Twice: Qencode's masters, who tell all, are asked once api.qencode.com has named them."""
    for exporter in exporters:
        exporter.refresh(20)
        exporter.refresh(20)


def tasks(exporter: Exporter, **labels: str) -> set[str]:
    return {dict(key)["task"] for key in samples(exporter, "transcoding_task_phase", **labels)}


def active(exporter: Exporter) -> set[str]:
    return tasks(exporter, state="queued") | tasks(exporter, state="running")


@dataclass
class Follower:
    """Follows the counters of all shards as Prometheus does: by their increases, each shard on its own."""

    last: dict[tuple[int, Sample], float] = field(default_factory=dict)
    increases: Counter[Sample] = field(default_factory=Counter)

    def look(self, exporters: Sequence[Exporter]) -> None:
        for number, exporter in enumerate(exporters):
            every = (sample for metric in collect(exporter).values() for sample in metric.samples)
            for sample, value in counted(every).items():
                before = self.last.get((number, sample), 0.0)
                self.increases[sample] += value - before  # type: ignore[assignment]
                assert value >= before, f"shard {number} took back {sample}"
                self.last[number, sample] = value

    def removed(self, number: int) -> None:
        """A shard is gone, its ledger as well: one of that number begins anew."""
        self.last = {key: value for key, value in self.last.items() if key[0] < number}


# --- Everything, and each task once ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 5])
@pytest.mark.parametrize("split", list(ShardBy))
def test_together_they_watch_everything_and_none_watches_what_another_does(
    simulator: Simulator, tmp_path: Path, number: int, split: ShardBy
) -> None:
    tokens = {simulator.qencode.add("encoding") for _ in range(40)}
    types = ("upload", "import", "export", "export-data", "transcode-file", "clip", "yet-to-be-invented")
    ids = {simulator.livepeer.account.add(task_type) for task_type in types}
    accounts = qencode_config(simulator, *sorted(tokens)), livepeer_config(simulator, shard_by=split)

    with shards(number, simulator, tmp_path, *accounts) as exporters:
        look(exporters)
        parts = [tasks(exporter) for exporter in exporters]

        assert set().union(*parts) == tokens | ids
        assert sum(map(len, parts)) == len(tokens) + len(ids), "a task is watched twice"
        assert all(part & tokens for part in parts)
        of_livepeer = [part & ids for part in parts if part & ids]
        assert split is ShardBy.TASK_TYPE or len(of_livepeer) == 1
        assert split is ShardBy.ACCOUNT or number == 1 or len(of_livepeer) > 1
        assert sum(total(exporter, "transcoding_tasks") for exporter in exporters) == len(tokens) + len(ids)


def test_no_shard_asks_about_a_token_of_another(simulator: Simulator, tmp_path: Path) -> None:
    known = (STAYS_AT_0, STAYS_AT_1, FROM_0_TO_2)
    for token in known:
        simulator.qencode.add("encoding", token=token)
    with shards(3, simulator, tmp_path, qencode_config(simulator, *known, FROM_1_TO_2)) as exporters:
        look(exporters)

        assert [tasks(exporter) for exporter in exporters] == [{STAYS_AT_0}, {STAYS_AT_1}, {FROM_0_TO_2}]
        assert [total(exporter, "transcoding_unknown_tokens") for exporter in exporters] == [0, 0, 1]


def test_a_further_shard_takes_what_is_its_own_and_nothing_else_moves(
    simulator: Simulator, tmp_path: Path
) -> None:
    tokens = sorted(simulator.qencode.add("encoding") for _ in range(120))
    account = qencode_config(simulator, *tokens)
    with shards(3, simulator, tmp_path, account) as exporters:
        look(exporters)
        before = [tasks(exporter) for exporter in exporters]
    with shards(4, simulator, tmp_path, account) as exporters:
        # Before anything is asked: what has moved away is gone at once.
        kept = [tasks(exporter) for exporter in exporters]
        look(exporters)
        after = [tasks(exporter) for exporter in exporters]

    assert after[:3] == kept[:3]
    assert all(now <= then for now, then in zip(after, before, strict=False))
    assert set().union(*after) == set(tokens)
    assert len(after[3]) == pytest.approx(120 / 4, rel=0.4)


def test_a_removed_shard_leaves_its_part_to_the_others(simulator: Simulator, tmp_path: Path) -> None:
    tokens = sorted(simulator.qencode.add("encoding") for _ in range(60))
    account = qencode_config(simulator, *tokens)
    with shards(3, simulator, tmp_path, account) as exporters:
        look(exporters)
        before = [tasks(exporter) for exporter in exporters]
    with shards(2, simulator, tmp_path, account) as exporters:
        look(exporters)
        after = [tasks(exporter) for exporter in exporters]

    assert all(then <= now for now, then in zip(after, before, strict=False))
    assert after[0] | after[1] == set(tokens)
    assert not after[0] & after[1]


# --- Counters ----------------------------------------------------------------------------------------------

EXACT = (
    "transcoding_task_phase_entries_total",
    "transcoding_retries_total",
    "transcoding_task_failures_total",
    "transcoding_output_seconds_total",
    "transcoding_output_bytes_total",
)
TIMED = ("transcoding_task_duration_seconds_count", "transcoding_task_duration_seconds_sum")


def promised(counts: Mapping[Sample, float]) -> dict[Sample, float]:
    """What a change of the number of shards neither loses nor doubles, by docs/scaling.md.

    Qencode tells no times, and warnings only where it is asked about a job for the second time.
    """
    return {
        (name, labels): value
        for (name, labels), value in counts.items()
        if value and (name in EXACT or (name in TIMED and ("provider", "livepeer") in labels))
    }


class World:
    """Both services, to whose tasks things happen, and a file of tokens."""

    def __init__(self, simulator: Simulator, tokens: Path, seed: int) -> None:
        self.simulator = simulator
        self.tokens = tokens
        self.random = Random(seed)
        now = simulator.clock.time
        self.livepeer = LivepeerDeeds(simulator.livepeer.account, now, self.random)
        self.qencode = QencodeDeeds(simulator.qencode, now, self.random)
        self.write()

    def step(self) -> None:
        self.simulator.clock.advance(STEP)
        for _ in range(self.random.randrange(4, 12)):
            self.livepeer.happen()
            self.qencode.happen()
        for _ in range(self.random.randrange(1, 4)):
            self.livepeer.create()
            self.qencode.create()
        self.write()

    def write(self) -> None:
        self.tokens.write_text(json.dumps([{"targets": list(self.qencode.observable.tasks)}]))

    @property
    def expected(self) -> dict[Sample, float]:
        return promised({**self.livepeer.observable.counts, **self.qencode.observable.counts})

    @property
    def active(self) -> set[str]:
        known = (self.livepeer.observable, self.qencode.observable)
        return {task for each in known for task in each.tasks if not each.ended(task)} - self.livepeer.deleted


@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        # Of these, each number moves some types, there and back again.
        (ShardBy.TASK_TYPE, (1, 2, 3, 5, 3, 1, 4)),
        # The account belongs to shard 5 of 6, and to 0 of fewer.
        (ShardBy.ACCOUNT, (2, 6, 1, 6, 5)),
    ],
)
def test_however_the_number_changes_every_event_is_counted_once_in_sum(
    simulator: Simulator, tmp_path: Path, split: ShardBy, numbers: Sequence[int]
) -> None:
    tokens = tmp_path / "tokens.json"
    world, follower = World(simulator, tokens, seed=1), Follower()
    accounts = (
        qencode_config(simulator, task_tokens_file=tokens),
        livepeer_config(simulator, shard_by=split),
    )
    for number in numbers:
        with shards(number, simulator, tmp_path, *accounts) as exporters:
            look(exporters)
            follower.look(exporters)
            for _ in range(6):
                world.step()
                look(exporters)
                follower.look(exporters)

                assert promised(follower.increases) == pytest.approx(world.expected)
                parts = [active(exporter) - world.livepeer.deleted for exporter in exporters]
                assert set().union(*parts) == world.active
                assert sum(map(len, parts)) == len(world.active)
        # A shard that goes takes its ledger along: see docs/scaling.md.
        follower.removed(1)
        for ledger in tmp_path.glob("[1-9].db*"):
            ledger.unlink()
    assert len(world.expected) > 60, "too little happened for this to mean anything"


def entries(exporters: Iterable[Exporter], **labels: str) -> list[float]:
    """How many tasks entered a phase, at each shard."""
    name = "transcoding_task_phase_entries_total"
    return [total(exporter, name, **labels) for exporter in exporters]


def test_a_job_that_ends_between_two_shards_is_known_but_its_end_is_not_counted(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.qencode.add("encoding", token=FROM_0_TO_2)
    account = qencode_config(simulator, FROM_0_TO_2)
    with shards(2, simulator, tmp_path, account) as exporters:
        look(exporters)
    simulator.clock.advance(STEP)
    simulator.qencode.fail(FROM_0_TO_2)
    with shards(3, simulator, tmp_path, account) as exporters:
        look(exporters)

        assert tasks(exporters[2], phase="error") == {FROM_0_TO_2}
        assert entries(exporters, state="failed") == [0, 0, 0]
        assert total(exporters[2], "transcoding_failed_tasks") == 0, "and nobody is woken"


def test_a_task_of_livepeer_that_ends_before_the_first_look_of_its_new_shard_is_counted_there(
    simulator: Simulator, tmp_path: Path
) -> None:
    account = livepeer_config(simulator)
    upload = simulator.livepeer.account.add("upload")
    # The account belongs to shard 0 of five, and to 5 of six.
    with shards(5, simulator, tmp_path, account) as exporters:
        look(exporters)
    with shards(6, simulator, tmp_path, account) as exporters:
        simulator.clock.advance(STEP)
        simulator.livepeer.account.fail(upload)
        simulator.clock.advance(STEP)
        look(exporters)

        assert entries(exporters, state="failed") == [0, 0, 0, 0, 0, 1]
        assert total(exporters[5], "transcoding_failed_tasks") == 1
        assert total(exporters[5], "transcoding_task_duration_seconds_sum") == STEP


def test_two_that_watch_at_once_count_twice_so_all_stop_before_their_number_changes(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.qencode.add("encoding", token=FROM_0_TO_2)
    account = qencode_config(simulator, FROM_0_TO_2)
    new, old = tmp_path / "new", tmp_path / "old"
    with shards(2, simulator, old, account) as of_two, shards(3, simulator, new, account) as of_three:
        look([*of_two, *of_three])
        simulator.clock.advance(STEP)
        simulator.qencode.fail(FROM_0_TO_2)
        look([*of_two, *of_three])

        assert entries([of_two[0], of_three[2]], state="failed") == [1, 1]


def test_a_restart_of_the_same_shards_is_what_a_restart_of_one_is(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.qencode.add("encoding", token=STAYS_AT_0)
    simulator.qencode.add("encoding", token=STAYS_AT_1)
    simulator.livepeer.account.add("upload")
    with shards(2, simulator, tmp_path, qencode_config(simulator, STAYS_AT_0)) as exporters:
        look(exporters)
    with shards(2, simulator, tmp_path, qencode_config(simulator, STAYS_AT_0)) as exporters:
        look(exporters)
        assert entries(exporters) == [0, 0], "it was there before anybody watched"

    simulator.clock.advance(STEP)
    simulator.qencode.fail(STAYS_AT_0)
    simulator.qencode.add("error", token=FROM_0_TO_2, error=True)
    added = qencode_config(simulator, STAYS_AT_0, FROM_0_TO_2)
    with shards(2, simulator, tmp_path, added) as exporters:
        look(exporters)
        assert entries(exporters, state="failed") == [2, 0], "added or failed while nobody looked"


def test_a_ledger_from_before_the_shards_goes_on_as_that_of_the_first(
    simulator: Simulator, tmp_path: Path
) -> None:
    tokens = (STAYS_AT_0, STAYS_AT_1, FROM_0_TO_2)
    for token in tokens:
        simulator.qencode.add("queued", token=token)
    account = qencode_config(simulator, *tokens)
    clock, ledger = DrivenClock(simulator.clock), f"sqlite:///{tmp_path}/0.db"
    with exporting(clock, account, poll=POLL, storage=ledger) as alone:
        look([alone])
        assert entries([alone]) == [3]
    for token in (STAYS_AT_0, STAYS_AT_1):
        simulator.qencode.set(token, "encoding")
    simulator.clock.advance(STEP)
    with shards(2, simulator, tmp_path, account) as exporters:
        look(exporters)

        assert [tasks(exporter) for exporter in exporters] == [{STAYS_AT_0, FROM_0_TO_2}, {STAYS_AT_1}]
        # What it had itself it goes on counting, the change in between included; the other adopts.
        assert entries(exporters) == [4, 0]


# --- One shard ---------------------------------------------------------------------------------------------


def test_a_reload_does_not_split_an_account_another_way_than_the_other_shards_do(
    simulator: Simulator,
) -> None:
    for task_type in ("upload", "clip", "import", "export", "transcode-file", "new"):
        simulator.livepeer.account.add(task_type)
    config = Config(poll=POLL, storage=StorageConfig(url="memory://"), livepeer=(livepeer_config(simulator),))
    split = Config(
        poll=POLL,
        storage=StorageConfig(url="memory://"),
        livepeer=(livepeer_config(simulator, shard_by=ShardBy.TASK_TYPE),),
    )
    exporter = Exporter(config, clock=DrivenClock(simulator.clock), shard=Shard(0, 3))
    with capture_logs() as logs:
        exporter.reconfigure(split)
    look([exporter])

    assert len(tasks(exporter)) == 6
    assert [entry["key"] for entry in logs if "next start" in entry["event"]] == ["livepeer.shard_by"]
    exporter.close()


def test_a_ledger_for_all_shards_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    account = qencode_config(simulator, STAYS_AT_0)
    clock = DrivenClock(simulator.clock)
    with (
        pytest.raises(DatabaseError, match="each needs a file of its own"),
        exporting(clock, account, storage="postgresql+psycopg://nobody@127.0.0.1:1/x", shard=Shard(0, 2)),
    ):
        pass
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    with (
        exporting(clock, account, storage=ledger, shard=Shard(0, 2)),
        pytest.raises(DatabaseError, match="is in use, and each shard needs a file of its own"),
        exporting(clock, account, storage=ledger, shard=Shard(1, 2)),
    ):
        pass


def test_a_token_that_was_given_and_now_belongs_to_another_shard_is_told_in_the_log(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.qencode.add("encoding", token=FROM_0_TO_2)
    account = qencode_config(simulator, STAYS_AT_0)
    with shards(2, simulator, tmp_path, account) as exporters:
        exporters[0].give_token(exporters[0].accounts[0], FROM_0_TO_2, {})
        look(exporters)
        assert tasks(exporters[0]) == {FROM_0_TO_2}
    with capture_logs() as logs, shards(3, simulator, tmp_path, account) as exporters:
        look(exporters)
        assert [tasks(exporter) for exporter in exporters] == [set(), set(), set()]
    told = [entry for entry in logs if "belong to other shards" in entry["event"]]
    assert [(entry["number"], entry["task"]) for entry in told] == [(1, FROM_0_TO_2)]


# --- As processes ------------------------------------------------------------------------------------------


def test_a_token_of_another_shard_is_refused_with_the_number_of_that_one(
    simulator: Simulator, tmp_path: Path
) -> None:
    config = write(tmp_path / "config.yml", qencode(simulator, STAYS_AT_1))
    flags = ("--web.enable-admin-api", "--shard=1", "--total-shards=3", f"--storage.path={tmp_path}/1.db")
    with serving(config, *flags) as exporter:
        tokens = f"{exporter.site}/api/v1/qencode/vod/tokens"
        refused = requests.put(f"{tokens}/{FROM_0_TO_2}", timeout=10)
        taken = requests.put(f"{tokens}/{'5' * 32}", timeout=10)

        assert refused.status_code == 409
        assert refused.json() == {"error": "it belongs to shard 2 of 3: give it to that one"}
        assert taken.status_code == 201
        assert [one["task"] for one in requests.get(tokens, timeout=10).json()["tokens"]] == ["5" * 32]


def test_a_scrape_shows_the_part_of_a_shard(simulator: Simulator, tmp_path: Path) -> None:
    for token in (STAYS_AT_0, STAYS_AT_1):
        simulator.qencode.add("encoding", token=token)
    config = write(tmp_path / "config.yml", qencode(simulator, STAYS_AT_0, STAYS_AT_1))

    flagged = run("scrape", f"--config.file={config}", "--shard=0", "--total-shards=2")
    variables = {"TRANSCODING_EXPORTER_SHARD": "1", "TRANSCODING_EXPORTER_TOTAL_SHARDS": "2"}
    by_environment = run("scrape", f"--config.file={config}", **variables)

    for done, token in ((flagged, STAYS_AT_0), (by_environment, STAYS_AT_1)):
        assert done.returncode == 0, done.stderr
        shown = {dict(labels)["task"] for labels in read(done.stdout)["transcoding_task_phase"]}
        assert shown == {token}


@pytest.mark.parametrize("command", ["serve", "scrape"])
def test_the_help_names_both_variables_and_a_shard_that_can_not_be_is_refused(command: str) -> None:
    shown = CliRunner().invoke(main, [command, "--help"]).output
    assert re.search(r"--shard K .*\[env var:\s+TRANSCODING_EXPORTER_SHARD\]", shown, re.DOTALL)
    assert re.search(r"--total-shards N .*\[env var:\s+TRANSCODING_EXPORTER_TOTAL_SHARDS;", shown, re.DOTALL)

    config = {"QENCODE_TASK_TOKENS": STAYS_AT_0}
    for flags, words in (
        (("--shard=3", "--total-shards=3"), "there is no shard 3 of 3: they are counted from 0"),
        (("--shard=-1",), "there is no shard -1 of 1"),
        (("--total-shards=3",), "which of the 3 is this? Give its number, 0 to 2"),
        (("--total-shards=0",), "there must be at least one shard, not 0"),
    ):
        refused = run(command, *flags, **config)
        assert refused.returncode == 2
        assert words in refused.stderr
