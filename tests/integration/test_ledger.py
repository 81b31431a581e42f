"""What is known survives: in SQLite and in PostgreSQL, a full disk and a damaged file included."""

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa
import structlog
from msgspec import msgpack
from prometheus_client import CollectorRegistry

from exporter.ledger_file import UnusableError
from exporter.metrics.telemetry import Telemetry
from exporter.model import Account, Observation, Provider, State
from exporter.sharding import Shard
from exporter.storage import open_ledger
from exporter.tracking.database import Batch, Database
from exporter.tracking.database_error import DatabaseError, NewerSchemaError
from exporter.tracking.database_ledger import RETRY_INTERVAL, DatabaseLedger
from exporter.tracking.knowledge import Knowledge
from exporter.tracking.ledger import GivenToken, Terms
from exporter.tracking.packing import unpack
from exporter.tracking.set_aside import SetAside
from exporter.tracking.tally import DEFAULT_BUCKETS, Buckets, Count, Tally
from exporter.tracking.tracker import Moment
from tests.integration import postgresql
from tests.lacking import do_without

VOD = Account(Provider.QENCODE, "vod")
STUDIO = Account(Provider.LIVEPEER, "studio")
TERMS = Terms(retention=60.0, buckets=DEFAULT_BUCKETS)
FAILURES = Count(Tally.FAILURES, ("transcode", "unknown"))


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_294_800.0

    def time(self) -> float:
        return self.now

    monotonic = steady = time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while Watched.opened:
        Watched.opened.pop().close()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    with postgresql.running() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server = sa.make_url(request.getfixturevalue("postgresql_url"))
    name = f"test_{os.urandom(6).hex()}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.set(database=name).render_as_string(hide_password=False)


class Watched:
    """A ledger as the exporter uses it; `degraded()` is what its gauge would show."""

    opened: ClassVar[list[Database]] = []

    def __init__(self, url: str, clock: Clock) -> None:
        self.clock = clock
        self._degraded: bool | None = None
        database = Database(url)
        self.opened.append(database)
        self.ledger = DatabaseLedger(database, clock, self._tell)

    def _tell(self, degraded: bool) -> None:
        self._degraded = degraded

    def degraded(self) -> bool | None:
        return self._degraded

    def recall(self, account: Account = VOD, terms: Terms = TERMS) -> Knowledge:
        knowledge = self.ledger.recall(account, terms)
        # What ended at the very moment of the opening would be history.
        self.clock.now += 0.001
        return knowledge

    def learn(self, knowledge: Knowledge, *seen: Observation, position: float | None = None) -> None:
        moment = Moment(self.clock.now, self.clock.now)
        change = knowledge.plan(moment, observations=seen, position=position)
        self.ledger.commit(change)
        knowledge.apply(change)

    def forget(self, knowledge: Knowledge, *tasks: str) -> None:
        change = knowledge.plan(Moment(self.clock.now, self.clock.now), gone=tasks)
        self.ledger.commit(change)
        knowledge.apply(change)


def seen(task: str, phase: str, state: State, **fields: object) -> Observation:
    described = {
        "task": task,
        "task_type": "transcode",
        "phase": phase,
        "state": state,
        "dated": 2e9,
        **fields,
    }
    return Observation(**described)  # type: ignore[arg-type]


def shown(knowledge: Knowledge, clock: Clock) -> dict[str, str]:
    return {task.id: task.seen.phase for task in knowledge.snapshot(clock.now).tasks}


def test_everything_that_was_committed_is_recalled(url: str, clock: Clock) -> None:
    before = Watched(url, clock)
    knowledge = before.recall()
    running = seen(
        *("a", "encoding", State.RUNNING),
        progress=0.25,
        retries=1,
        message='free "text" \x00 of any 字母',
        labels=(("customer", "acme"),),
    )
    before.learn(knowledge, running, position=123.456)
    before.learn(knowledge, seen("b", "error", State.FAILED))
    before.ledger.close()

    clock.now += 10
    again = Watched(url, clock).recall()
    assert shown(again, clock) == {"a": "encoding", "b": "error"}
    assert again.task("a") == knowledge.task("a")
    assert again.position == 123.456
    assert again.opened == knowledge.opened
    assert again.snapshot(clock.now).counts == knowledge.snapshot(clock.now).counts
    assert again.snapshot(clock.now).counts[FAILURES] == 1


class TestPollsWithoutNews:
    """Most polls bring none, and each commit would wait for the disk."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "ledger.db"

    @pytest.fixture
    def written(self, path: Path) -> Iterator[Callable[[], int]]:
        """Another number whenever somebody else has written to the file."""
        with contextlib.closing(sqlite3.connect(path)) as connection:
            yield lambda: int(connection.execute("PRAGMA data_version").fetchone()[0])

    def test_are_not_written(self, path: Path, clock: Clock, written: Callable[[], int]) -> None:
        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()
        watched.learn(knowledge, seen("a", "encoding", State.RUNNING, progress=0.25), position=5.0)
        before = written()

        watched.learn(knowledge, seen("a", "encoding", State.RUNNING, progress=0.25), position=5.0)
        watched.learn(knowledge)
        watched.forget(knowledge, "nobody knows it")
        assert written() == before

        watched.learn(knowledge, seen("a", "encoding", State.RUNNING, progress=0.5))
        assert written() != before

    def test_are_written_if_the_account_has_been_read_further(
        self, path: Path, clock: Clock, written: Callable[[], int]
    ) -> None:
        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()
        watched.learn(knowledge, position=5.0)
        before = written()

        watched.learn(knowledge, position=6.0)

        assert written() != before
        watched.ledger.close()
        assert Watched(f"sqlite:///{path}", clock).recall().position == 6.0

    def test_are_written_if_the_first_answer_is_empty(self, path: Path, clock: Clock) -> None:
        watched = Watched(f"sqlite:///{path}", clock)
        opened = watched.recall().opened
        clock.now += 60
        watched.learn(watched.recall(), position=5.0)
        watched.ledger.close()

        clock.now += 60
        again = Watched(f"sqlite:///{path}", clock).recall()
        assert (again.opened, again.position) == (opened, 5.0)

    def test_find_that_the_file_is_gone(self, path: Path, clock: Clock) -> None:
        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()
        watched.learn(knowledge, seen("a", "encoding", State.RUNNING))
        path.unlink()

        watched.learn(knowledge)

        watched.ledger.close()
        assert shown(Watched(f"sqlite:///{path}", clock).recall(), clock) == {"a": "encoding"}


def test_accounts_are_kept_apart(url: str, clock: Clock) -> None:
    before = Watched(url, clock)
    before.learn(before.recall(VOD), seen("same id", "encoding", State.RUNNING))
    before.learn(before.recall(STUDIO), seen("same id", "waiting", State.QUEUED))
    before.ledger.close()

    again = Watched(url, clock)
    assert shown(again.recall(VOD), clock) == {"same id": "encoding"}
    assert shown(again.recall(STUDIO), clock) == {"same id": "waiting"}


def test_the_retention_goes_on_across_a_restart(url: str, clock: Clock) -> None:
    before = Watched(url, clock)
    before.learn(before.recall(), seen("a", "completed", State.COMPLETED))
    before.ledger.close()

    clock.now += 59
    assert shown(Watched(url, clock).recall(), clock) == {"a": "completed"}
    clock.now += 1
    later = Watched(url, clock).recall()
    assert shown(later, clock) == {}
    assert "a" in later.tasks


def test_what_is_forgotten_is_deleted(url: str, clock: Clock) -> None:
    before = Watched(url, clock)
    knowledge = before.recall()
    before.learn(knowledge, seen("a", "encoding", State.RUNNING), seen("b", "encoding", State.RUNNING))
    before.forget(knowledge, "a")
    before.ledger.close()
    assert set(Watched(url, clock).recall().tasks) == {"b"}


def test_a_transaction_is_written_whole_or_not_at_all(url: str, clock: Clock) -> None:
    watched = Watched(url, clock)
    watched.recall()
    database = Database(url)
    database.open()
    good = Batch(VOD, 1.0, position=5.0, counts={FAILURES: 7.0})
    bad = Batch(STUDIO, None, counts={FAILURES: 7.0})  # type: ignore[arg-type]
    with pytest.raises(DatabaseError):
        database.write([good, bad])
    stored = database.load(VOD)
    database.close()
    assert stored is not None
    assert (stored.position, FAILURES in stored.counts) == (None, False)


def test_histograms_begin_anew_when_their_buckets_change(url: str, clock: Clock) -> None:
    before = Watched(url, clock)
    knowledge = before.recall()
    before.learn(knowledge, seen("a", "queued", State.QUEUED))
    clock.now += 45
    before.learn(knowledge, seen("a", "completed", State.COMPLETED))
    before.ledger.close()
    bucket = Count(Tally.DURATION, ("transcode", "completed", "60.0"))

    same = Watched(url, clock).recall()
    assert same.snapshot(clock.now).counts[bucket] == 1

    other = Terms(60.0, Buckets(duration=(7.0, 99.0), phase_duration=DEFAULT_BUCKETS.phase_duration))
    changed = Watched(url, clock).recall(terms=other).snapshot(clock.now).counts
    assert not [count for count in changed if count.tally is Tally.DURATION]
    assert [count for count in changed if count.tally is Tally.PHASE_DURATION]


def test_a_histogram_that_began_anew_goes_on_from_there(url: str, clock: Clock) -> None:
    other = Terms(60.0, Buckets(duration=(7.0, 99.0), phase_duration=DEFAULT_BUCKETS.phase_duration))
    for terms, name in ((TERMS, "a"), (other, "b"), (other, "c")):
        watched = Watched(url, clock)
        knowledge = watched.recall(terms=terms)
        watched.learn(knowledge, seen(name, "queued", State.QUEUED))
        clock.now += 45
        watched.learn(knowledge, seen(name, "completed", State.COMPLETED))
        watched.ledger.close()
    counts = Watched(url, clock).recall(terms=other).snapshot(clock.now).counts
    assert counts[Count(Tally.DURATION, ("transcode", "completed", "99.0"))] == 2
    assert {count.labels[-1] for count in counts if count.tally is Tally.DURATION} == {"99.0", "sum"}


def test_a_bound_that_is_only_added_makes_a_histogram_begin_anew_too(url: str, clock: Clock) -> None:
    before = Watched(url, clock)
    knowledge = before.recall()
    before.learn(knowledge, seen("a", "queued", State.QUEUED))
    clock.now += 45
    before.learn(knowledge, seen("a", "completed", State.COMPLETED))
    before.ledger.close()
    finer = Buckets(duration=(*DEFAULT_BUCKETS.duration, 40.0), phase_duration=DEFAULT_BUCKETS.phase_duration)
    counts = Watched(url, clock).recall(terms=Terms(60.0, finer)).snapshot(clock.now).counts
    assert not [count for count in counts if count.tally is Tally.DURATION]


def test_tokens_given_by_the_api_are_remembered(url: str, clock: Clock) -> None:
    before = Watched(url, clock)
    before.ledger.give(VOD, "token-1", GivenToken({"customer": "acme"}, 5.0))
    before.ledger.give(VOD, "token-2", GivenToken({}, 6.0))
    before.ledger.give(VOD, "token-1", GivenToken({"customer": "umbrella"}, 5.0))
    before.ledger.take(VOD, "token-2")
    before.ledger.close()
    again = Watched(url, clock).ledger
    assert again.tokens(VOD) == {"token-1": GivenToken({"customer": "umbrella"}, 5.0)}
    assert again.tokens(STUDIO) == {}


def test_a_ledger_of_a_newer_version_is_refused(url: str, clock: Clock) -> None:
    Watched(url, clock).ledger.close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(NewerSchemaError, match=r"schema 99.*newer version"):
        Watched(url, clock)


def test_a_database_that_cannot_be_reached_is_an_error_that_says_where_but_no_password(clock: Clock) -> None:
    with pytest.raises(DatabaseError) as caught:
        Watched("postgresql+psycopg://exporter:hunter2@127.0.0.1:1/ledger", clock)
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_while_the_database_is_away_knowledge_goes_on_and_is_written_later(url: str, clock: Clock) -> None:
    watched = Watched(url, clock)
    knowledge = watched.recall()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE counts RENAME TO hidden"))
    with structlog.testing.capture_logs() as logs:
        watched.learn(knowledge, seen("a", "encoding", State.RUNNING))
        watched.learn(knowledge, seen("b", "error", State.FAILED))
    assert watched.degraded() is True
    assert shown(knowledge, clock) == {"a": "encoding", "b": "error"}
    assert [log["event"] for log in logs] == ["ledger failed, what is new is kept in memory only"]

    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE hidden RENAME TO counts"))
    engine.dispose()
    clock.now += RETRY_INTERVAL
    watched.learn(knowledge, seen("a", "saving", State.RUNNING))
    assert watched.degraded() is False
    watched.ledger.close()

    again = Watched(url, clock).recall()
    assert shown(again, clock) == {"a": "saving", "b": "error"}
    assert again.snapshot(clock.now).counts[FAILURES] == 1


class TestDamage:
    @pytest.fixture
    def path(self, tmp_path: Path, clock: Clock) -> Path:
        """The file of a ledger that knows a task."""
        path = tmp_path / "ledger.db"
        watched = Watched(f"sqlite:///{path}", clock)
        watched.learn(watched.recall(), seen("a", "encoding", State.RUNNING))
        watched.ledger.close()
        return path

    @pytest.mark.parametrize("damage", ["not a database", "torn page"])
    def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
        self, path: Path, clock: Clock, damage: str
    ) -> None:
        content = path.read_bytes()
        if damage == "not a database":
            path.write_bytes(b"something else entirely" * 500)
        else:
            path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
        broken = path.read_bytes()

        with structlog.testing.capture_logs() as logs:
            watched = Watched(f"sqlite:///{path}", clock)
            knowledge = watched.recall()
        watched.learn(knowledge, seen("b", "encoding", State.RUNNING))
        watched.ledger.close()

        kept = path.with_name("ledger.db.damaged-20261121T210000Z")
        assert kept.read_bytes() == broken, "it is never deleted"
        assert any("damaged" in log["event"] and log["kept"] == str(kept) for log in logs)
        assert watched.degraded() is False
        assert set(Watched(f"sqlite:///{path}", clock).recall().tasks) == {"b"}

    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE counts SET value = 9e999",
            "UPDATE counts SET value = 'many'",
            "UPDATE accounts SET opened = 'soon'",
            "UPDATE accounts SET position = 'here'",
            "UPDATE tasks SET ended = 'soon'",
            "UPDATE schema_version SET version = -1",
        ],
    )
    def test_a_file_that_holds_what_no_exporter_writes_is_set_aside(
        self, path: Path, clock: Clock, damage: str
    ) -> None:
        execute(f"sqlite:///{path}", damage)

        watched = Watched(f"sqlite:///{path}", clock)
        watched.learn(watched.recall(), seen("b", "encoding", State.RUNNING))
        watched.ledger.close()

        assert path.with_name("ledger.db.damaged-20261121T210000Z").exists()
        assert set(Watched(f"sqlite:///{path}", clock).recall().tasks) == {"b"}

    def test_a_task_that_ended_before_1970_does_no_harm(self, path: Path, clock: Clock) -> None:
        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()
        clock.now += 1
        moment = Moment(clock.now, clock.now + 5)
        old = seen("old", "completed", State.COMPLETED, dated=0.0, finished=0.0)
        change = knowledge.plan(moment, observations=[old])
        assert change.packed["old"].ended == -5.0
        watched.ledger.commit(change)
        watched.ledger.close()

        assert set(Watched(f"sqlite:///{path}", clock).recall().tasks) == {"a", "old"}

    def test_of_several_versions_the_newest_counts(self, path: Path, clock: Clock) -> None:
        execute(f"sqlite:///{path}", "INSERT INTO schema_version VALUES (1)")
        assert set(Watched(f"sqlite:///{path}", clock).recall().tasks) == {"a"}

    def test_damage_under_way_loses_nothing_that_is_known(self, path: Path, clock: Clock) -> None:
        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()
        for companion in path.parent.glob("ledger.db*"):
            companion.write_bytes(b"\xa5" * companion.stat().st_size)
        watched.learn(knowledge, seen("b", "error", State.FAILED))
        assert watched.degraded() is False
        watched.ledger.close()

        again = Watched(f"sqlite:///{path}", clock).recall()
        assert shown(again, clock) == {"a": "encoding", "b": "error"}
        assert again.snapshot(clock.now).counts == knowledge.snapshot(clock.now).counts

    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE tasks SET body = x'7b22'",
            "UPDATE tasks SET body = x'ff'",
            "UPDATE counts SET tally = 'phase_entriez' WHERE tally = 'phase_entries'",
            "UPDATE counts SET labels = '[\"transco'",
            "UPDATE counts SET labels = CAST(x'5bff5d' AS TEXT)",
            "UPDATE tokens SET labels = '{'",
            "UPDATE tokens SET labels = '[1]'",
        ],
    )
    def test_a_flipped_bit_does_not_keep_it_from_starting(
        self, path: Path, clock: Clock, damage: str
    ) -> None:
        before = Watched(f"sqlite:///{path}", clock)
        before.recall()
        before.ledger.give(VOD, "token-1", GivenToken({}, 5.0))
        before.ledger.close()
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(damage)

        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()
        assert watched.ledger.tokens(VOD) in ({}, {"token-1": GivenToken({}, 5.0)})
        watched.learn(knowledge, seen("a", "saving", State.RUNNING), seen("b", "encoding", State.RUNNING))
        assert shown(knowledge, clock) == {"a": "saving", "b": "encoding"}
        assert watched.degraded() is False

    def test_tokens_that_were_given_survive_it(self, path: Path, clock: Clock) -> None:
        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()
        watched.ledger.give(VOD, "token-1", GivenToken({"customer": "acme"}, 5.0))
        for companion in path.parent.glob("ledger.db*"):
            companion.write_bytes(b"\xa5" * companion.stat().st_size)
        watched.learn(knowledge, seen("b", "encoding", State.RUNNING))
        watched.ledger.close()
        again = Watched(f"sqlite:///{path}", clock)
        assert again.ledger.tokens(VOD) == {"token-1": GivenToken({"customer": "acme"}, 5.0)}

    def test_a_file_that_was_deleted_is_written_anew_with_all_that_is_known(
        self, path: Path, clock: Clock
    ) -> None:
        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()
        for companion in path.parent.glob("ledger.db*"):
            companion.unlink()
        with structlog.testing.capture_logs() as logs:
            watched.learn(knowledge, seen("b", "error", State.FAILED))
        watched.ledger.close()
        assert [log["event"] for log in logs] == ["ledger's file is gone, it is written anew"]
        again = Watched(f"sqlite:///{path}", clock).recall()
        assert shown(again, clock) == {"a": "encoding", "b": "error"}
        assert again.snapshot(clock.now).counts == knowledge.snapshot(clock.now).counts

    def test_damage_to_one_account_at_the_start_loses_no_other(self, path: Path, clock: Clock) -> None:
        before = Watched(f"sqlite:///{path}", clock)
        before.learn(before.recall(VOD), seen("b", "error", State.FAILED))
        before.ledger.give(VOD, "token-1", GivenToken({}, 5.0))
        before.learn(before.recall(STUDIO), seen("c", "waiting", State.QUEUED))
        before.ledger.close()
        execute(f"sqlite:///{path}", "UPDATE counts SET labels = '{' WHERE provider = 'livepeer'")

        halted = Watched(f"sqlite:///{path}", clock)
        halted.recall(VOD)
        halted.ledger.tokens(VOD)
        halted.recall(STUDIO)
        halted.ledger.close()

        again = Watched(f"sqlite:///{path}", clock)
        knowledge = again.recall(VOD)
        assert shown(knowledge, clock) == {"a": "encoding", "b": "error"}
        assert knowledge.snapshot(clock.now).counts[FAILURES] == 1
        assert again.ledger.tokens(VOD) == {"token-1": GivenToken({}, 5.0)}
        assert shown(again.recall(STUDIO), clock) == {}


class TestAFileOfSomethingElse:
    def test_is_refused_and_left_as_it_is(self, tmp_path: Path, clock: Clock) -> None:
        path = tmp_path / "config.yml"
        path.write_text("storage: {url: 'sqlite:///config.yml'}\n")

        with pytest.raises(
            DatabaseError, match=r"config\.yml is no ledger; move it away, or name another file"
        ):
            open_ledger(f"sqlite:///{path}", clock, Telemetry(CollectorRegistry()))

        assert list(tmp_path.iterdir()) == [path]
        assert path.read_text() == "storage: {url: 'sqlite:///config.yml'}\n"

    @pytest.mark.parametrize(
        ("size", "companions"),
        [(8192, [".lock"]), (100, ["-wal"]), (8192, ["-shm"]), (100, ["-wal", ".lock"])],
    )
    def test_is_not_a_ledger_whose_beginning_was_overwritten(
        self, tmp_path: Path, clock: Clock, size: int, companions: list[str]
    ) -> None:
        path = tmp_path / "ledger.db"
        path.write_bytes(bytes(size))
        for companion in companions:
            path.with_name(path.name + companion).touch()

        with exposed(f"sqlite:///{path}", clock) as shown:
            assert shown() == 1

    @pytest.mark.parametrize(
        ("content", "companions"),
        [(b"x" * 4096, []), (bytes(8192), []), (b"x" * 100, [".lock"]), (b"SQLite format 2\0" * 256, [])],
    )
    def test_is_refused_whatever_its_size_if_no_exporter_has_claimed_it(
        self, tmp_path: Path, clock: Clock, content: bytes, companions: list[str]
    ) -> None:
        path = tmp_path / "notes"
        path.write_bytes(content)
        for companion in companions:
            path.with_name(path.name + companion).touch()
        before = set(tmp_path.iterdir())

        with pytest.raises(DatabaseError, match="notes is no ledger; move it away, or name another file"):
            open_ledger(f"sqlite:///{path}", clock, Telemetry(CollectorRegistry()))

        assert set(tmp_path.iterdir()) == before
        assert path.read_bytes() == content


class TestALongPath:
    @pytest.mark.parametrize(("name", "path"), [(247, 0), (248, 0), (100, 504), (100, 505)])
    def test_is_refused_if_sqlite_can_not_open_it(
        self, tmp_path: Path, clock: Clock, name: int, path: int
    ) -> None:
        folder = tmp_path
        while (lacking := path - name - 1 - len(str(folder))) > 0:
            # A slash belongs to each.
            folder /= "f" * (lacking - 1 if lacking <= 200 else 100)
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / ("n" * name)
        assert path in (0, len(str(place)))
        url = f"sqlite:///{place}"

        if name == 248 or path == 505:
            with pytest.raises(DatabaseError, match="unable to open database file"):
                Database(url).open()
            with pytest.raises(UnusableError, match=r"too long|longer than 504 bytes"):
                open_ledger(url, clock, Telemetry(CollectorRegistry()))
        else:
            with exposed(url, clock) as shown:
                assert shown() == 0
            assert place.stat().st_size > 0


ASIDE = "transcoding_exporter_ledger_set_aside_files"


@contextlib.contextmanager
def exposed(url: str, clock: Clock) -> Iterator[Callable[[], float | None]]:
    """What the metric of the ledgers that were set aside shows, while a ledger is open."""
    registry = CollectorRegistry()
    ledger, claim = open_ledger(url, clock, Telemetry(registry))
    try:
        yield lambda: registry.get_sample_value(ASIDE)
    finally:
        ledger.close()
        if claim:
            claim.drop()


class TestSetAside:
    def test_given_a_ledger_that_is_damaged_then_a_metric_tells_until_it_is_moved_away(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        path, elsewhere = tmp_path / "ledger.db", tmp_path / "elsewhere"
        with exposed(f"sqlite:///{path}", clock) as shown:
            assert shown() == 0
        path.write_bytes(b"\xa5" * 8192)
        elsewhere.mkdir()

        with exposed(f"sqlite:///{path}", clock) as shown:
            assert shown() == 1
        # It is a state, not an event: a restart changes nothing.
        with exposed(f"sqlite:///{path}", clock) as shown:
            assert shown() == 1
            (kept,) = tmp_path.glob("ledger.db.damaged-*")
            kept.rename(elsewhere / kept.name)
            assert shown() == 0

    def test_each_counts_once_with_all_that_belongs_to_it_and_no_other_ledgers_do(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        for name in (
            "ledger.db.damaged-20261121T210000Z",
            "ledger.db.damaged-20261121T210000Z-wal",
            "ledger.db.damaged-20261121T210000Z-shm",
            "ledger.db.damaged-20261122T090000Z",
            "other.db.damaged-20261121T210000Z",
            "ledger.db.backup",
        ):
            (tmp_path / name).touch()

        with exposed(f"sqlite:///{tmp_path}/ledger.db", clock) as shown:
            assert shown() == 2

    def test_given_a_folder_that_can_not_be_listed_then_what_was_there_before_is_told(
        self, tmp_path: Path
    ) -> None:
        folder, away = tmp_path / "data", tmp_path / "away"
        folder.mkdir()
        (folder / "ledger.db.damaged-20261121T210000Z").touch()
        aside = SetAside(folder / "ledger.db")
        assert aside.count() == 1

        folder.rename(away)
        folder.touch()
        assert aside.count() == 1
        folder.unlink()
        assert aside.count() == 0, "there is no folder, so nothing is in it"

    def test_a_ledger_that_is_in_order_or_no_file_has_none(self, url: str, clock: Clock) -> None:
        for place in (url, "memory://"):
            with exposed(place, clock) as shown:
                assert shown() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mounted], capture_output=True, check=False
    )
    if mount.returncode:
        do_without("right to mount a small file system")
    yield mounted
    subprocess.run(["umount", "--lazy", mounted], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


class TestFullDisk:
    def test_under_way_it_goes_on_in_memory_and_writes_all_once_there_is_room(
        self, small_disk: Path, clock: Clock
    ) -> None:
        url = f"sqlite:///{small_disk}/ledger.db"
        watched = Watched(url, clock)
        knowledge = watched.recall()
        watched.learn(knowledge, seen("a", "encoding", State.RUNNING))
        fill(small_disk)
        for number in range(300):
            failed = seen(f"task {number}", "error", State.FAILED, message="x" * 400)
            watched.learn(knowledge, failed)
            clock.now += RETRY_INTERVAL / 100
        assert watched.degraded() is True
        assert len(knowledge.tasks) == 301

        (small_disk / "filler").unlink()
        clock.now += RETRY_INTERVAL
        watched.learn(knowledge, seen("a", "saving", State.RUNNING))
        assert watched.degraded() is False
        watched.ledger.close()
        again = Watched(url, clock).recall()
        assert set(again.tasks) == set(knowledge.tasks)
        assert again.snapshot(clock.now).counts[FAILURES] == 300

    def test_at_the_start_what_is_on_the_disk_is_still_read(self, small_disk: Path, clock: Clock) -> None:
        url = f"sqlite:///{small_disk}/ledger.db"
        before = Watched(url, clock)
        before.learn(before.recall(), seen("a", "error", State.FAILED))
        before.ledger.close()
        fill(small_disk)

        watched = Watched(url, clock)
        knowledge = watched.recall()
        assert watched.degraded() is True
        assert shown(knowledge, clock) == {"a": "error"}
        watched.learn(knowledge, seen("b", "error", State.FAILED))
        assert knowledge.snapshot(clock.now).counts[FAILURES] == 2

        (small_disk / "filler").unlink()
        clock.now += RETRY_INTERVAL
        watched.learn(knowledge, seen("c", "encoding", State.RUNNING))
        assert watched.degraded() is False
        watched.ledger.close()
        assert set(Watched(url, clock).recall().tasks) == {"a", "b", "c"}

    def test_at_the_start_tokens_that_were_given_are_still_read_and_more_can_be_given_later(
        self, small_disk: Path, clock: Clock
    ) -> None:
        url = f"sqlite:///{small_disk}/ledger.db"
        before = Watched(url, clock)
        before.recall()
        old, new = GivenToken({"customer": "acme"}, 5.0), GivenToken({}, 6.0)
        before.ledger.give(VOD, "token-1", old)
        before.ledger.close()
        fill(small_disk)

        watched = Watched(url, clock)
        watched.recall()
        assert watched.degraded() is True
        assert watched.ledger.tokens(VOD) == {"token-1": old}
        assert watched.ledger.tokens(Account(Provider.QENCODE, "other")) == {}

        (small_disk / "filler").unlink()
        clock.now += RETRY_INTERVAL
        watched.ledger.give(VOD, "token-2", new)
        assert watched.ledger.tokens(VOD) == {"token-1": old, "token-2": new}
        watched.ledger.close()
        assert Watched(url, clock).ledger.tokens(VOD) == {"token-1": old, "token-2": new}

    def test_at_the_start_of_a_new_ledger(self, small_disk: Path, clock: Clock) -> None:
        fill(small_disk)
        watched = Watched(f"sqlite:///{small_disk}/ledger.db", clock)
        knowledge = watched.recall()
        assert watched.ledger.tokens(VOD) == {}
        watched.learn(knowledge, seen("a", "encoding", State.RUNNING))
        assert watched.degraded() is True
        assert shown(knowledge, clock) == {"a": "encoding"}

    def test_at_the_start_and_the_file_damaged_before_there_is_room(
        self, small_disk: Path, clock: Clock
    ) -> None:
        path = small_disk / "ledger.db"
        before = Watched(f"sqlite:///{path}", clock)
        before.learn(before.recall(), seen("a", "error", State.FAILED))
        before.ledger.close()
        fill(small_disk)
        watched = Watched(f"sqlite:///{path}", clock)
        knowledge = watched.recall()

        (small_disk / "filler").unlink()
        path.write_bytes(b"\xa5" * path.stat().st_size)
        clock.now += RETRY_INTERVAL
        watched.learn(knowledge, seen("b", "error", State.FAILED))
        assert watched.degraded() is False
        watched.ledger.close()

        again = Watched(f"sqlite:///{path}", clock).recall()
        assert shown(again, clock) == {"a": "error", "b": "error"}
        assert again.snapshot(clock.now).counts[FAILURES] == 2


class TestANewFileWithoutRoomForAll:
    """There is room for its tables and for what is new, but not for what was known before."""

    @pytest.fixture(params=["damaged", "moved away"])
    def lost(
        self, request: pytest.FixtureRequest, small_disk: Path, clock: Clock
    ) -> tuple[Watched, Knowledge]:
        """A ledger that knows 400 failures, and has just lost its file."""
        watched = Watched(f"sqlite:///{small_disk}/ledger.db", clock)
        knowledge = watched.recall()
        watched.learn(
            knowledge, *(seen(f"old {n}", "error", State.FAILED, message="x" * 400) for n in range(400))
        )
        # Else SQLite would make room later, by deleting its write-ahead log.
        watched.opened[-1].close()
        file = small_disk / "ledger.db"
        if request.param == "damaged":
            file.write_bytes(b"\xa5" * file.stat().st_size)
        else:
            file.rename(small_disk / "moved away")
        fill(small_disk)
        os.truncate(small_disk / "filler", (small_disk / "filler").stat().st_size - 160_000)
        return watched, knowledge

    @staticmethod
    def make_room(disk: Path) -> None:
        for file in list(disk.iterdir()):
            if file.name not in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
                file.unlink()

    def test_it_stays_degraded_until_all_is_written(
        self, small_disk: Path, clock: Clock, lost: tuple[Watched, Knowledge]
    ) -> None:
        watched, knowledge = lost
        for number in range(3):
            watched.learn(knowledge, seen(f"new {number}", "error", State.FAILED))
            assert watched.degraded() is True
            with pytest.raises(DatabaseError):
                watched.ledger.give(VOD, "token-1", GivenToken({}, 5.0))
            clock.now += RETRY_INTERVAL

        self.make_room(small_disk)
        watched.learn(knowledge)
        assert watched.degraded() is False
        watched.ledger.close()

        again = Watched(f"sqlite:///{small_disk}/ledger.db", clock).recall()
        assert set(again.tasks) == set(knowledge.tasks)
        assert again.snapshot(clock.now).counts[FAILURES] == 403

    def test_an_end_before_that_leaves_nothing_rather_than_a_part(
        self, small_disk: Path, clock: Clock, lost: tuple[Watched, Knowledge]
    ) -> None:
        watched, knowledge = lost
        for number in range(2):
            watched.learn(knowledge, seen(f"new {number}", "error", State.FAILED))
            clock.now += RETRY_INTERVAL
        watched.ledger.close()
        self.make_room(small_disk)

        clock.now += 60
        began = clock.now
        again = Watched(f"sqlite:///{small_disk}/ledger.db", clock).recall()
        # With the old time of opening and without the tasks, old failures would count as news.
        assert (again.opened, set(again.tasks)) == (began, set())

    def test_an_account_that_comes_meanwhile_is_written_too(
        self, small_disk: Path, clock: Clock, lost: tuple[Watched, Knowledge]
    ) -> None:
        watched, knowledge = lost
        watched.learn(knowledge, seen("new", "error", State.FAILED))
        watched.learn(watched.recall(STUDIO), seen("c", "waiting", State.QUEUED))
        assert watched.degraded() is True

        self.make_room(small_disk)
        clock.now += RETRY_INTERVAL
        watched.ledger.close()
        again = Watched(f"sqlite:///{small_disk}/ledger.db", clock)
        assert len(again.recall(VOD).tasks) == 401
        assert shown(again.recall(STUDIO), clock) == {"c": "waiting"}


def test_a_table_that_is_locked_for_long_degrades_instead_of_holding_up_the_polls(
    postgresql_url: str, clock: Clock
) -> None:
    watched = Watched(postgresql_url, clock)
    knowledge = watched.recall(STUDIO)
    engine = sa.create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE tasks"))
        watched.learn(knowledge, seen("a", "waiting", State.QUEUED))
        assert watched.degraded() is True
    engine.dispose()
    clock.now += RETRY_INTERVAL
    watched.learn(knowledge, seen("b", "waiting", State.QUEUED))
    assert watched.degraded() is False


def test_nothing_but_what_is_needed_is_in_the_file(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.db"
    watched = Watched(f"sqlite:///{path}", clock)
    watched.learn(watched.recall(), seen("a", "encoding", State.RUNNING, progress=0.5))
    watched.ledger.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        ((body,),) = connection.execute("SELECT body FROM tasks").fetchall()
    (told, retries, _, ended, *_) = msgpack.decode(body)
    assert (retries, ended) == (None, None)
    assert [value for value in told if value] == ["a", "transcode", "encoding", "running", 2e9, 0.5]


FIRST_SCHEMA = (
    "CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY)",
    (
        "CREATE TABLE accounts (provider TEXT NOT NULL, account TEXT NOT NULL,"
        " opened DOUBLE PRECISION NOT NULL, position DOUBLE PRECISION, PRIMARY KEY (provider, account))"
    ),
    "INSERT INTO schema_version VALUES (1)",
    "INSERT INTO accounts VALUES ('livepeer', 'studio', 1795294000.5, 1795294100.25)",
)
"""As the exporter first made it; the tables that are missing have not changed since."""

OLD_TASKS = (
    (
        "CREATE TABLE tasks (provider TEXT NOT NULL, account TEXT NOT NULL, task TEXT NOT NULL,"
        " ended DOUBLE PRECISION, body {bytes} NOT NULL, PRIMARY KEY (provider, account, task))"
    ),
    "INSERT INTO tasks VALUES ('livepeer', 'studio', 'old', NULL, CAST('{task}' AS {bytes}))",
)
"""Until the second schema, a task was JSON with names."""

OLD_TASK = (
    '{"seen":{"task":"old","task_type":"clip","phase":"running","state":"running","dated":1795294100.5},'
    '"retries":1,"changed":1795294100.5}'
)


def execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_a_ledger_of_the_first_schema_is_brought_up_to_date(url: str, clock: Clock) -> None:
    execute(url, *FIRST_SCHEMA)
    knowledge = (watched := Watched(url, clock)).recall(STUDIO)
    assert (knowledge.opened, knowledge.position) == (1795294000.5, 1795294100.25)

    watched.learn(knowledge, seen("a", "waiting", State.QUEUED))
    watched.ledger.close()
    again = Watched(url, clock).recall(STUDIO)
    assert (again.opened, again.position) == (1795294000.5, 1795294100.25)
    assert shown(again, clock) == {"a": "waiting"}


def old_tasks(url: str) -> tuple[str, ...]:
    # No colon: SQLAlchemy would take what follows for a parameter.
    task = OLD_TASK.replace(":", "\\:")
    kind = "BLOB" if url.startswith("sqlite") else "BYTEA"
    return tuple(statement.format(bytes=kind, task=task) for statement in OLD_TASKS)


def test_tasks_of_the_older_schemas_are_known_and_written_anew_once_they_change(
    url: str, clock: Clock
) -> None:
    execute(url, *FIRST_SCHEMA, *old_tasks(url))
    watched = Watched(url, clock)
    knowledge = watched.recall(STUDIO)
    assert shown(knowledge, clock) == {"old": "running"}
    assert knowledge.active["old"].retries == 1

    watched.learn(knowledge, seen("old", "waiting", State.QUEUED, task_type="clip"))
    watched.ledger.close()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        ((body, version),) = connection.execute(sa.text("SELECT body, version FROM tasks, schema_version"))
    engine.dispose()
    assert msgpack.decode(bytes(body))[0][:4] == ["old", "clip", "waiting", "queued"]
    assert version == 3, "an older exporter would find no task, and forget all"
    assert shown(Watched(url, clock).recall(STUDIO), clock) == {"old": "waiting"}


def test_a_ledger_of_the_first_schema_can_be_read_where_nothing_can_be_written(
    tmp_path: Path, clock: Clock
) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    execute(url, *FIRST_SCHEMA, *old_tasks(url))
    old = Database(url)
    # What has been brought up to date has every table; the column it had not is taken away again.
    old.open()
    old.close()
    execute(
        url,
        "ALTER TABLE accounts DROP COLUMN share",
        "ALTER TABLE accounts DROP COLUMN adopted",
    )
    stored = old.load_read_only(STUDIO)
    old.close()
    assert stored is not None
    assert (stored.opened, str(stored.share), stored.adopted) == (1795294000.5, "0/1", None)
    task = unpack("old", stored.tasks["old"])
    assert task is not None
    assert task.seen.phase == "running"


class TestShards:
    """Of Qencode's tokens, "c" belongs to shard 0 of 2 and 2 of 3, "f" always to shard 0."""

    OF_ONE, OF_TWO, OF_THREE = (Terms(60.0, DEFAULT_BUCKETS, Shard(0, total)) for total in (1, 2, 3))
    STUDIO_BY_TYPE = Terms(60.0, DEFAULT_BUCKETS, Shard(0, 2), by_type=True)

    def watched(self, url: str, clock: Clock, terms: Terms, *tokens: str) -> None:
        """A process that sees tokens being encoded, and ends."""
        watched = Watched(url, clock)
        knowledge = watched.recall(terms=terms)
        watched.learn(knowledge, *(seen(token, "encoding", State.RUNNING) for token in tokens))
        watched.ledger.close()

    def test_what_moves_away_is_dropped_at_once_and_stays_counted(self, url: str, clock: Clock) -> None:
        self.watched(url, clock, self.OF_TWO, "c", "f")
        knowledge = Watched(url, clock).recall(terms=self.OF_THREE)
        assert shown(knowledge, clock) == {"f": "encoding"}
        assert sum(knowledge.snapshot(clock.now).counts.values()) == 2

    def test_what_has_moved_away_does_not_come_back_by_itself(self, url: str, clock: Clock) -> None:
        self.watched(url, clock, self.OF_TWO, "c", "f")
        self.watched(url, clock, self.OF_THREE, "f")
        assert set(Watched(url, clock).recall(terms=self.OF_TWO).tasks) == {"f"}

    def test_a_process_that_ends_before_its_first_answer_has_changed_nothing(
        self, url: str, clock: Clock
    ) -> None:
        self.watched(url, clock, self.OF_TWO, "c", "f")
        halted = Watched(url, clock)
        halted.recall(terms=self.OF_THREE)
        halted.ledger.close()
        assert set(Watched(url, clock).recall(terms=self.OF_TWO).tasks) == {"c", "f"}

    @pytest.mark.parametrize("halts", [0, 1])
    def test_what_comes_is_adopted_by_whichever_process_sees_it_first(
        self, url: str, clock: Clock, halts: int
    ) -> None:
        self.watched(url, clock, self.OF_THREE, "f")
        for _ in range(halts):
            halted = Watched(url, clock)
            halted.recall(terms=self.OF_TWO)
            halted.ledger.close()
        clock.now += 10
        watched = Watched(url, clock)
        knowledge = watched.recall(terms=self.OF_TWO)
        watched.learn(knowledge, seen("c", "encoding", State.RUNNING, dated=clock.now - 1))
        assert shown(knowledge, clock) == {"c": "encoding", "f": "encoding"}
        assert sum(knowledge.snapshot(clock.now).counts.values()) == 1

    def test_a_first_start_that_came_to_nothing_leaves_the_adoption_to_the_next(
        self, url: str, clock: Clock
    ) -> None:
        halted = Watched(url, clock)
        halted.recall(terms=self.OF_TWO)
        halted.ledger.close()
        clock.now += 10
        watched = Watched(url, clock)
        knowledge = watched.recall(terms=self.OF_TWO)
        watched.learn(knowledge, seen("c", "encoding", State.RUNNING, dated=clock.now - 1))
        assert shown(knowledge, clock) == {"c": "encoding"}
        assert not knowledge.snapshot(clock.now).counts

    def test_an_account_that_is_left_is_forgotten_but_for_its_counters(self, url: str, clock: Clock) -> None:
        first = Watched(url, clock)
        first.learn(first.recall(STUDIO), seen("a", "waiting", State.QUEUED), position=7.0)
        first.ledger.close()
        second = Watched(url, clock)
        second.ledger.leave(STUDIO)
        second.ledger.leave(STUDIO)
        second.ledger.close()

        back = Watched(url, clock).recall(STUDIO)
        assert (set(back.tasks), back.position) == (set(), None)
        assert sum(back.snapshot(clock.now).counts.values()) == 1
        # Even alone: others have watched it meanwhile.
        assert back.adoption.before == clock.now - 0.001

    def test_of_an_account_that_is_split_the_types_of_others_are_dropped(
        self, url: str, clock: Clock
    ) -> None:
        # Of two shards, `other` belongs to 1, and upload to 0.
        first = Watched(url, clock)
        knowledge = first.recall(STUDIO, terms=self.OF_ONE)
        for task_type in ("upload", "other"):
            first.learn(knowledge, seen(task_type, "waiting", State.QUEUED, task_type=task_type))
        first.ledger.close()

        assert set(Watched(url, clock).recall(STUDIO, self.STUDIO_BY_TYPE).tasks) == {"upload"}
