"""Which shard watches what: everything belongs to one, and as little as possible moves."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Config, LivepeerConfig, LivepeerTaskType, QencodeConfig, Secret, ShardBy
from exporter.model import TASK_TYPES, Account, Observation, Provider, State
from exporter.services import sharded, watched_types
from exporter.sharding import Shard, Share, owner, read_share, token_key
from exporter.tracking.handover import first_share, hand_over

VOD = Account(Provider.QENCODE, "vod")
STUDIO = Account(Provider.LIVEPEER, "studio")
NOW = 2000.0

KEYS = [token_key(VOD, f"{number:032x}") for number in range(4000)]

totals = st.integers(1, 12)


def livepeer(name: str = "studio", **options: object) -> LivepeerConfig:
    return LivepeerConfig(name=name, api_key=Secret("key"), **options)  # type: ignore[arg-type]


def by_type(shard: Shard | None) -> Share:
    return Share(STUDIO, shard, by_type=True)


# --- The hash ----------------------------------------------------------------------------------------------


# By coreutils, for each number n below N: printf '%s/%s' n KEY | b2sum -l 64; the greatest one wins.
@pytest.mark.parametrize(
    ("key", "owners"),
    [
        ("livepeer/studio", [0, 0, 0, 0, 0, 5, 6, 6]),
        ("livepeer/archive", [0, 0, 0, 0, 0, 0, 0, 7]),
        ("livepeer/studio/upload", [0, 0, 0, 0, 4, 4, 4, 4]),
        ("livepeer/studio/other", [0, 1, 2, 3, 3, 3, 6, 6]),
        ("qencode/vod/4bd1ac1ba5cc9e2430f420712bb1e0be", [0, 1, 1, 3, 3, 3, 6, 6]),
        ("qencode/vod/1357924680abcdef1357924680abcdef", [0, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_the_owner_is_the_same_in_every_process_and_version(key: str, owners: list[int]) -> None:
    assert [owner(key, total) for total in range(1, 9)] == owners


def test_the_keys_are_those_that_they_have_always_been() -> None:
    shard = Shard(0, 3)
    token = "4bd1ac1ba5cc9e2430f420712bb1e0be"

    assert Share(VOD, shard).holds(token, "transcode") == shard.owns(f"qencode/vod/{token}")
    assert Share(STUDIO, shard).holds("any", "clip") == shard.owns("livepeer/studio")
    assert by_type(shard).holds("any", "clip") == shard.owns("livepeer/studio/clip")


@given(key=st.text(), total=totals)
def test_every_key_belongs_to_exactly_one_shard(key: str, total: int) -> None:
    assert sum(Shard(number, total).owns(key) for number in range(total)) == 1


@given(key=st.text(), total=totals)
def test_with_one_shard_more_a_key_stays_or_goes_to_the_new_one(key: str, total: int) -> None:
    assert owner(key, total + 1) in {owner(key, total), total}


@pytest.mark.parametrize("total", [1, 2, 3, 5, 8])
def test_a_further_shard_takes_about_its_part(total: int) -> None:
    moved = sum(owner(key, total + 1) != owner(key, total) for key in KEYS)

    assert moved == pytest.approx(len(KEYS) / (total + 1), rel=0.15)


@pytest.mark.parametrize("total", [2, 3, 5, 8])
def test_all_shards_have_about_as_much(total: int) -> None:
    parts = Counter(owner(key, total) for key in KEYS)

    assert len(parts) == total
    for size in parts.values():
        assert size == pytest.approx(len(KEYS) / total, rel=0.15)


@pytest.mark.parametrize(
    ("number", "total", "words"),
    [
        (3, 3, "there is no shard 3 of 3: they are counted from 0"),
        (-1, 3, "there is no shard -1 of 3"),
        (0, 0, "there must be at least one shard, not 0"),
    ],
)
def test_a_shard_that_can_not_be_is_refused(number: int, total: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Shard(number, total)


# --- The share of an account -------------------------------------------------------------------------------


@given(task=st.text(), task_type=st.sampled_from(TASK_TYPES[Provider.LIVEPEER]), total=totals)
@pytest.mark.parametrize("split", [True, False])
def test_every_task_of_livepeer_is_in_exactly_one_share(
    split: bool, task: str, task_type: str, total: int
) -> None:
    shares = [Share(STUDIO, Shard(number, total), by_type=split) for number in range(total)]

    assert sum(share.holds(task, task_type) for share in shares) == 1
    assert sum(task_type in share.types for share in shares) == 1


def test_a_part_with_nothing_in_it_holds_nothing() -> None:
    assert not Share(VOD, None).holds("a", "transcode")
    assert by_type(None).types == frozenset()


@given(number=st.integers(0, 11), total=totals, split=st.booleans())
def test_a_share_is_read_as_it_is_written(number: int, total: int, split: bool) -> None:
    share = Share(STUDIO, Shard(number % total, total), by_type=split)
    again = read_share(STUDIO, str(share))

    assert str(again) == str(share)
    assert again.types == share.types


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (Share(STUDIO), "0/1"),
        (by_type(Shard()), "0/1"),
        (by_type(Shard(1, 3)), "1/3 task_type"),
        (Share(VOD, Shard(2, 3)), "2/3"),
        (Share(VOD, None), ""),
    ],
)
def test_the_ledger_has_a_share_as_text(share: Share, text: str) -> None:
    assert str(share) == text


@pytest.mark.parametrize("text", ["nonsense", "1", "1/0", "a/b", "3/3"])
def test_a_text_that_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its words
        read_share(VOD, text)


# --- The configuration -------------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [1, 2, 3, 4])
def test_an_account_of_livepeer_is_in_the_configuration_of_one_shard(total: int) -> None:
    names = [f"account-{number}" for number in range(20)]
    config = Config(
        qencode=(QencodeConfig(name="vod", task_tokens=("a", "b")),),
        livepeer=tuple(livepeer(name) for name in names),
    )
    parts = [sharded(config, Shard(number, total)) for number in range(total)]

    assert sorted(account.name for part in parts for account in part.livepeer) == sorted(names)
    assert all(part.qencode == config.qencode for part in parts), "any token may belong to any shard"


def test_without_shards_nothing_is_left_out_nor_filtered() -> None:
    config = Config(livepeer=(livepeer(shard_by=ShardBy.TASK_TYPE), livepeer("archive")))

    assert sharded(config, Shard()) == config
    assert watched_types(config.livepeer[0], Shard()) == ()


@pytest.mark.parametrize("total", [2, 3, 4, 9])
def test_of_a_split_account_each_type_is_watched_by_one_shard_and_so_is_one_yet_to_be_invented(
    total: int,
) -> None:
    account = livepeer(shard_by=ShardBy.TASK_TYPE)
    config = Config(livepeer=(account,))
    shards = [Shard(number, total) for number in range(total)]
    watching = [shard for shard in shards if sharded(config, shard).livepeer]

    watched = [task_type for shard in watching for task_type in watched_types(account, shard)]
    assert sorted(watched) == [
        "clip",
        "export",
        "export-data",
        "import",
        "other",
        "transcode-file",
        "upload",
    ]


def test_of_chosen_types_no_other_is_watched_by_any_shard() -> None:
    chosen = (LivepeerTaskType.CLIP, LivepeerTaskType.UPLOAD)
    account = livepeer(shard_by=ShardBy.TASK_TYPE, task_types=chosen)
    parts = [sharded(Config(livepeer=(account,)), Shard(number, 5)).livepeer for number in range(5)]
    watching = [number for number, part in enumerate(parts) if part]

    watched = [task_type for number in watching for task_type in watched_types(account, Shard(number, 5))]
    assert sorted(watched) == ["clip", "upload"]


# --- How an account goes on --------------------------------------------------------------------------------


def adopts(share: Share, former: Share, task: str, adopted: float | None = None) -> bool:
    """Whether a task of the type upload, that was there at NOW, would be adopted."""
    seen = Observation(task=task, task_type="upload", phase="any", state=State.RUNNING, dated=0.0)
    return hand_over(share, former, adopted, NOW).adoption.moment(seen) == NOW


def test_alone_nothing_is_ever_adopted() -> None:
    for account in (VOD, STUDIO):
        share = Share(account)
        assert not adopts(share, first_share(share), "a")
        assert not hand_over(share, first_share(share), None, NOW).moved


def test_a_shard_adopts_of_an_account_that_is_new_to_it() -> None:
    for account in (VOD, STUDIO):
        share = Share(account, Shard(0, 2))
        assert adopts(share, first_share(share), "a")


def test_after_a_restart_of_the_same_shard_a_token_is_news() -> None:
    share = Share(VOD, Shard(1, 2))

    assert not adopts(share, share, "a", adopted=NOW - 50)


def test_after_a_restart_what_livepeer_had_before_the_adoption_is_still_adopted() -> None:
    share = Share(STUDIO, Shard(0, 2))
    handover = hand_over(share, share, NOW - 50, NOW)

    assert handover.adoption.before == NOW - 50
    assert not handover.moved
    assert not handover.anew


def test_a_clock_that_was_set_back_does_not_adopt_the_future() -> None:
    share = Share(STUDIO, Shard(0, 2))

    assert hand_over(share, share, NOW + 3600, NOW).adoption.before == NOW


def test_a_shard_adopts_the_tokens_that_move_to_it_and_no_other() -> None:
    # By b2sum, too: of two shards both belong to 0; of three, "c" moves to 2.
    moving, staying = "c", "f"

    assert adopts(Share(VOD, Shard(2, 3)), Share(VOD, None), moving)
    assert not adopts(Share(VOD, Shard(0, 3)), Share(VOD, Shard(0, 2)), staying)
    assert adopts(Share(VOD, Shard(0, 2)), Share(VOD, Shard(0, 3)), moving), "and back again"


def test_an_account_that_stays_is_read_on_and_adopts_nothing() -> None:
    # livepeer/studio belongs to shard 0, of 2 as of 3.
    handover = hand_over(Share(STUDIO, Shard(0, 3)), Share(STUDIO, Shard(0, 2)), None, NOW)

    assert (handover.anew, handover.moved) == (False, True)
    assert not adopts(Share(STUDIO, Shard(0, 3)), Share(STUDIO, Shard(0, 2)), "a")


def test_a_type_that_comes_makes_the_account_read_anew() -> None:
    # livepeer/studio/other belongs to shard 1 of 2; alone, a shard has it as well.
    before, after = by_type(Shard(0, 2)), by_type(Shard(0, 1))

    assert hand_over(after, before, None, NOW).anew
    assert not hand_over(before, after, None, NOW).anew, "one that only goes does not"
