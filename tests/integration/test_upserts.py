"""A row that is written again stands as it was written last, in SQLite and in PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from exporter.model import Account, Provider
from exporter.sharding import Shard, Share
from exporter.tracking.database import Batch, Database, StoredAccount
from exporter.tracking.ledger import GivenToken
from exporter.tracking.packing import PackedTask
from exporter.tracking.tally import Count, Tally
from tests.integration import postgresql

VOD = Account(Provider.QENCODE, "vod")
ODD = "%s %(task)s ? :1 ' \" \\ \n ä🎬"
RETRIES = Count(Tally.RETRIES, ("transcode",))
PHASES = Count(Tally.PHASE_ENTRIES, ("transcode", ODD, "unknown"))

BARE = Batch(
    VOD,
    opened=1.0,
    tasks={"t": PackedTask(None, b"1"), ODD: PackedTask(2.0, b"\x00\xff%s")},
    counts={RETRIES: 1.0, PHASES: 2},
    tokens={ODD: GivenToken({}, 3.0)},
)
FULL = Batch(
    VOD,
    opened=11.0,
    position=12.0,
    tasks={"t": PackedTask(13.0, b"2"), ODD: PackedTask(14.0, b"3")},
    counts={RETRIES: 15.5, PHASES: 16.0},
    tokens={ODD: GivenToken({"customer": ODD}, 17.0)},
    share="1/3",
    adopted=18.0,
)
SHARES = {"0/1": Shard(), "1/3": Shard(1, 3)}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A ledger's database."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db"
        else:
            url = stack.enter_context(postgresql.running())
        database = Database(url)
        stack.callback(database.close)
        database.open()
        yield database


def of(batch: Batch, account: str) -> Batch:
    return replace(batch, account=Account(Provider.QENCODE, account))


def stored(batch: Batch) -> StoredAccount:
    """Return what should be found of an account of which nothing else was written."""
    return StoredAccount(
        opened=batch.opened,
        position=batch.position,
        tasks={task: packed for task, packed in batch.tasks.items() if packed},
        counts={count: value for count, value in batch.counts.items() if value is not None},
        share=Share(batch.account, SHARES[batch.share]),
        adopted=batch.adopted,
    )


@pytest.mark.parametrize("rows", [(BARE, FULL), (FULL, BARE)], ids=["told more", "told less"])
def test_given_rows_that_were_written_when_written_again_then_nothing_is_left_of_what_they_were(
    database: Database, rows: tuple[Batch, Batch]
) -> None:
    before, after = (of(batch, f"again {rows.index(FULL)}") for batch in rows)
    of_another = of(before, "another")
    database.write([of_another, before])

    database.write([after])

    for batch in (after, of_another):
        assert database.load(batch.account) == stored(batch)
        assert database.tokens(batch.account) == batch.tokens


def test_given_many_rows_at_once_then_all_are_written_and_of_one_that_comes_twice_the_later_one(
    database: Database,
) -> None:
    many = of(replace(BARE, tasks={f"{n} ä": PackedTask(float(n), b"%d" % n) for n in range(3000)}), "many")
    later = of(replace(FULL, tasks={f"{n} ä": PackedTask(None, b"x") for n in range(0, 3000, 7)}), "many")

    database.write([many, later])

    assert database.load(many.account) == stored(replace(later, tasks={**many.tasks, **later.tasks}))


def test_given_an_account_of_which_nothing_is_known_but_when_it_was_opened_then_that_is_all_there_is(
    database: Database,
) -> None:
    empty = Batch(Account(Provider.QENCODE, "empty"), opened=1.0)

    database.write([empty])

    assert database.load(empty.account) == stored(empty)
    assert database.tokens(empty.account) == {}
