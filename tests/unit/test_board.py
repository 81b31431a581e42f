"""The board: what needs somebody comes first, and one finds what one looks for."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exporter.health import Health, HealthError
from exporter.metrics.view import View
from exporter.model import (
    PHASES,
    Account,
    Endpoint,
    ErrorReason,
    FailureReason,
    Observation,
    Outcome,
    Provider,
    State,
    Task,
)
from exporter.report.board import Board, Sort, Wish, together
from exporter.report.records import PollError, StateCounts
from exporter.tracking.knowledge import Snapshot

NOW = 1_795_294_800.0
STUDIO, VOD = Account(Provider.LIVEPEER, "studio"), Account(Provider.QENCODE, "vod")
VIEW = View(stall_after={State.QUEUED: 1800, State.RUNNING: 600, State.UNKNOWN: 600})
AT = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)


def a_task(
    name: str, phase: str = "running", *, ago: float = 0.0, history: bool = False, **told: Any
) -> Task:
    """A task that has been as it is for `ago` seconds."""
    phases = {**PHASES[Provider.QENCODE], **PHASES[Provider.LIVEPEER]}
    state = phases.get(phase, State.UNKNOWN)
    seen = Observation(
        name, told.pop("task_type", "upload"), phase, state, dated=0.0, **{"retries": None, **told}
    )
    ended = NOW - ago if state.terminal else None
    return Task(seen, seen.retries, changed=NOW - ago, ended=ended, begun=seen.created, history=history)


def board(
    *tasks: Task,
    vod: tuple[Task, ...] = (),
    view: View = VIEW,
    healths: Mapping[Account, Health] | None = None,
    to_date: float = 0.0,
) -> Board:
    """A board with these tasks in the account `studio`, and others in the account `vod`."""
    snapshots = (Snapshot(STUDIO, NOW, tasks, {}, {}), Snapshot(VOD, NOW, vod, {}, {}))
    return Board(snapshots, healths or {}, view, to_date)


def names(board: Board, offset: int = 0, limit: int | None = None, **wish: Any) -> str:
    """The names of the wanted tasks in their order."""
    return " ".join(record.task for record in board.tasks(Wish(**wish), offset, limit)[0])


# --- Urgency ---------------------------------------------------------------------------------------


def test_when_nothing_else_is_wanted_then_what_needs_somebody_comes_first() -> None:
    seen = board(
        a_task("completed", "completed", ago=1),
        a_task("queued", "waiting", ago=2),
        a_task("running", "running", ago=3),
        a_task("odd", "meditating", ago=4),
        a_task("failed", "failed", ago=5),
        a_task("stalled", "running", ago=600),
    )

    assert names(seen) == "stalled failed odd running queued completed"
    assert names(seen, descending=True) == "completed queued running odd failed stalled"


def test_given_stalled_tasks_then_the_one_that_has_been_so_longest_comes_first() -> None:
    seen = board(a_task("b", "running", ago=700), a_task("a", "waiting", ago=1900), a_task("c", ago=601))

    assert names(seen) == "a b c"


def test_given_failures_then_the_latest_comes_first() -> None:
    seen = board(
        a_task("b", "failed", ago=20), a_task("a", "failed", ago=10), a_task("c", "failed", ago=4000)
    )

    assert names(seen) == "a b c"


def test_given_a_failure_that_nobody_watched_then_it_is_over_like_any_other_end() -> None:
    seen = board(
        a_task("old", "failed", ago=1, history=True),
        a_task("cancelled", "cancelled", ago=2),
        a_task("done", "completed", ago=3),
        a_task("active", "waiting", ago=4),
    )

    assert names(seen) == "active old cancelled done"


@pytest.mark.parametrize(
    ("phase", "ago", "stalled"),
    [
        ("running", 599, False),
        ("running", 600, True),
        ("waiting", 1799, False),
        ("waiting", 1800, True),
        ("odd", 600, True),
        ("failed", 9999, False),
    ],
)
def test_an_active_task_is_stalled_once_it_has_not_changed_for_so_long_as_its_state_allows(
    phase: str, ago: float, stalled: bool
) -> None:
    (record,), _ = board(a_task("t", phase, ago=ago)).tasks(Wish())

    assert record.stalled is stalled


def test_what_goes_on_stays_in_the_order_in_which_it_began_whatever_moves() -> None:
    seen = board(
        a_task("untold", ago=1),
        a_task("young", ago=2, created=NOW - 50),
        a_task("old", ago=3, created=NOW - 70),
    )

    assert names(seen) == "old young untold"


def test_given_ties_then_the_names_decide_so_that_nothing_jumps() -> None:
    seen = board(a_task("b"), a_task("c"), vod=(a_task("a"),))

    assert names(seen) == "a b c"


# --- Sorting ---------------------------------------------------------------------------------------

SORTABLE = (
    a_task("a", "running", ago=30, progress=0.9, retries=2, created=NOW - 300),
    a_task("b", "running", ago=20, progress=0.1, retries=0, created=NOW - 100),
    a_task("c", "waiting", ago=40, retries=1, created=NOW - 200),
)


@pytest.mark.parametrize(
    ("sort", "ascending", "descending"),
    [
        (Sort.TASK, "a b c d", "d c b a"),
        # The provider's name, then the account's; within an account it is urgency that counts.
        (Sort.ACCOUNT, "a b c d", "d a b c"),
        # What is not known is last either way round.
        (Sort.PROGRESS, "b a c d", "a b c d"),
        (Sort.RETRIES, "b c a d", "a c b d"),
        (Sort.CREATED, "a c b d", "b c a d"),
        (Sort.CHANGED, "d c a b", "b a c d"),
        # Cancelled, queued, running, as the words go; then the phase.
        (Sort.STATE, "d c a b", "a b c d"),
    ],
)
def test_the_tasks_are_sorted_either_way_round(sort: Sort, ascending: str, descending: str) -> None:
    seen = board(*SORTABLE, vod=(a_task("d", "cancelled", ago=50),))

    assert names(seen, sort=sort) == ascending
    assert names(seen, sort=sort, descending=True) == descending


def test_given_nothing_known_to_sort_by_then_urgency_decides_either_way_round() -> None:
    seen = board(a_task("new", ago=1), a_task("old", ago=2), a_task("stuck", ago=999))

    assert names(seen, sort=Sort.PROGRESS) == "stuck new old"
    assert names(seen, sort=Sort.PROGRESS, descending=True) == "stuck new old"


def test_given_no_progress_and_none_at_all_then_zero_is_a_progress() -> None:
    seen = board(a_task("untold"), a_task("zero", progress=0.0), a_task("half", progress=0.5))

    assert names(seen, sort=Sort.PROGRESS) == "zero half untold"
    assert names(seen, sort=Sort.PROGRESS, descending=True) == "half zero untold"


# --- Searching and filtering -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("needle-id", "needle-id"),
        ("NEEDLE", "needle-id"),
        ("saving", "phase"),
        ("source_", "reason"),
        ("project-1", "project"),
        ("asset-in", "input"),
        ("asset-out", "output"),
        ("acme", "label"),
        ("STRASSE", "sharp"),
        ("asset", "input output"),
        ("nowhere", ""),
        ("customer", ""),
    ],
)
def test_a_search_finds_a_part_of_a_field_in_whatever_case(search: str, found: str) -> None:
    seen = board(
        a_task("needle-id"),
        a_task("phase", "saving"),
        a_task("reason", "failed", reason=FailureReason.SOURCE_MEDIA),
        a_task("project", project="PROJECT-1"),
        a_task("input", input_asset="asset-in"),
        a_task("output", output_asset="asset-out"),
        a_task("label", labels=(("customer", "Acme Inc."),)),
        a_task("sharp", labels=(("place", "Straße"),)),
    )

    assert names(seen, search=search, sort=Sort.TASK) == found


def test_a_search_does_not_reach_from_one_field_into_the_next() -> None:
    assert names(board(a_task("ab", project="cd")), search="abrunning") == ""


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ({"providers": frozenset({Provider.QENCODE})}, "e f"),
        ({"accounts": frozenset({"studio"})}, "a b c d"),
        ({"accounts": frozenset({"nobody"})}, ""),
        ({"accounts": frozenset({"studio", "vod"})}, "a b c d e f"),
        ({"states": frozenset({State.FAILED})}, "c f"),
        ({"states": frozenset({State.FAILED, State.QUEUED})}, "c d f"),
        ({"task_types": frozenset({"clip"})}, "d"),
        ({"stalled": True}, "b"),
        ({"stalled": False}, "a c d e f"),
        ({"states": frozenset({State.FAILED}), "providers": frozenset({Provider.QENCODE})}, "f"),
        ({"states": frozenset({State.RUNNING}), "stalled": True, "search": "B"}, "b"),
        ({"states": frozenset({State.RUNNING}), "stalled": True, "search": "a"}, ""),
    ],
)
def test_filters_combine(wish: Mapping[str, Any], found: str) -> None:
    studio = (
        a_task("a"),
        a_task("b", ago=700),
        a_task("c", "failed"),
        a_task("d", "waiting", task_type="clip"),
    )
    vod = (a_task("e", "encoding"), a_task("f", "error"))

    assert names(board(*studio, vod=vod), sort=Sort.TASK, **wish) == found


# --- Paging ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "limit", "page"),
    [(0, 2, "a b"), (2, 2, "c d"), (4, 2, "e"), (5, 2, ""), (99, 2, ""), (1, None, "b c d e"), (0, 0, "")],
)
def test_a_page_is_a_part_of_what_is_wanted_and_tells_how_much_there_is(
    offset: int, limit: int | None, page: str
) -> None:
    seen = board(*(a_task(name) for name in "cabed"), a_task("x", "failed"))

    wish = Wish(states=frozenset({State.RUNNING}), sort=Sort.TASK)
    records, total = seen.tasks(wish, offset, limit)

    assert " ".join(record.task for record in records) == page
    assert total == 5


# --- One task --------------------------------------------------------------------------------------


def test_a_task_is_found_by_its_account_and_its_name() -> None:
    seen = board(a_task("t", "running"), vod=(a_task("t", "error"),))

    found = seen.task(VOD, ["t"])

    assert found is not None
    assert (found.provider, found.account, found.phase) == (Provider.QENCODE, "vod", "error")
    assert seen.task(VOD, ["T"]) is None
    assert seen.task(Account(Provider.QENCODE, "studio"), ["t"]) is None


def test_given_names_that_are_hidden_then_a_task_has_the_name_that_is_shown_and_no_other() -> None:
    view = View(label=lambda provider, task: f"{provider}-{len(task)}")
    seen = board(vod=(a_task("secret", "encoding"),), view=view)

    found = seen.task(VOD, ["qencode-6"])

    assert found is not None
    assert found.task == "qencode-6"
    assert seen.task(VOD, ["secret"]) is None
    assert names(seen) == "qencode-6"
    assert names(seen, search="secret") == ""
    assert names(seen, search="qencode-6") == "qencode-6"


def test_a_record_says_what_the_provider_told() -> None:
    task = a_task(
        "t",
        "failed",
        ago=60,
        history=True,
        progress=0.5,
        retries=2,
        warnings=1,
        reason=FailureReason.DRM,
        message="no key",
        created=NOW - 300,
        scheduled=NOW - 200,
        updated=NOW - 60,
        finished=NOW - 61,
        project="p",
        input_asset="i",
        output_asset="o",
        labels=(("customer", "acme"),),
    )

    (record,), _ = board(task).tasks(Wish())

    assert (record.provider, record.account, record.task) == (Provider.LIVEPEER, "studio", "t")
    assert (record.phase, record.state, record.stalled, record.history) == (
        "failed",
        State.FAILED,
        False,
        True,
    )
    assert (record.progress, record.retries, record.warnings) == (0.5, 2, 1)
    assert (record.reason, record.message) == (FailureReason.DRM, "no key")
    assert record.created == AT - timedelta(seconds=300)
    assert record.scheduled == AT - timedelta(seconds=200)
    assert record.updated == AT - timedelta(seconds=60)
    assert record.finished == AT - timedelta(seconds=61)
    assert record.changed == AT - timedelta(seconds=60)
    assert (record.project, record.input_asset, record.output_asset) == ("p", "i", "o")
    assert record.labels == {"customer": "acme"}


def test_given_a_clock_that_was_set_then_our_own_times_follow_it_and_the_providers_do_not() -> None:
    (record,), _ = board(a_task("t", ago=60, updated=NOW - 60), to_date=3600).tasks(Wish())

    assert record.changed == AT + timedelta(seconds=3540)
    assert record.updated == AT - timedelta(seconds=60)


@pytest.mark.parametrize("years", [-1e5, 1e5])
def test_given_times_that_no_calendar_has_then_the_task_is_shown_without_them(years: float) -> None:
    seconds = years * 365 * 86400
    (record,), _ = board(a_task("t", ago=-seconds, updated=seconds)).tasks(Wish())

    assert record.updated is None
    assert record.changed == datetime(1970, 1, 1, tzinfo=UTC)


# --- Accounts --------------------------------------------------------------------------------------


def test_an_account_tells_how_many_of_its_tasks_are_how() -> None:
    seen = board(
        a_task("a", "running"),
        a_task("b", "running", ago=700),
        a_task("c", "waiting", ago=9999),
        a_task("d", "failed"),
        a_task("e", "failed", history=True),
        a_task("f", "cancelled"),
        a_task("g", "odd"),
        vod=(a_task("h", "completed"),),
    )

    accounts = {account.account: account for account in seen.accounts()}

    assert accounts["studio"].tasks == StateCounts(
        queued=1, running=2, completed=0, failed=2, cancelled=1, unknown=1
    )
    assert (accounts["studio"].stalled, accounts["studio"].failed) == (2, 1)
    assert accounts["vod"].tasks.completed == 1
    assert together(account.tasks for account in accounts.values()) == StateCounts(
        queued=1, running=2, completed=1, failed=2, cancelled=1, unknown=1
    )


def test_accounts_that_are_down_come_first_and_say_why() -> None:
    error = HealthError(Endpoint.QENCODE_API, ErrorReason.SERVER, "HTTP 503", 3)
    down = Health().after(Outcome.ERROR, at=NOW - 30, seconds=0.5, errors=(error,))
    seen = board(healths={STUDIO: Health().after(Outcome.SUCCESS, at=NOW, seconds=1.0), VOD: down})

    vod, studio = seen.accounts()

    assert (vod.account, vod.up, vod.outcome) == ("vod", False, Outcome.ERROR)
    assert (vod.since, vod.polled) == (AT - timedelta(seconds=30), AT - timedelta(seconds=30))
    assert (vod.poll_seconds, vod.succeeded) == (0.5, None)
    assert vod.errors == [
        PollError(endpoint=Endpoint.QENCODE_API, reason=ErrorReason.SERVER, message="HTTP 503", times=3)
    ]
    assert (studio.account, studio.up, studio.succeeded) == ("studio", True, AT)


def test_an_account_that_was_never_polled_is_neither_up_nor_down() -> None:
    studio, vod = board().accounts()

    assert (studio.account, vod.account) == ("studio", "vod")
    assert (studio.up, studio.since, studio.outcome, studio.polled) == (None, None, None, None)


def test_the_names_of_the_accounts_at_a_provider() -> None:
    assert board().names(Provider.LIVEPEER) == {"studio"}
    assert board().names(Provider.QENCODE) == {"vod"}
