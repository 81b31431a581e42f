import io
import json
import string
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from exporter.commands.tasks import tasks as tasks_command
from exporter.model import Account, Outcome, Provider, State
from exporter.report.board import Sort, Wish
from exporter.report.records import AccountRecord, StateCounts
from exporter.terminal import plain
from exporter.terminal.exits import Exit, verdict
from exporter.terminal.layout import GAP, Column, layout
from exporter.terminal.source import Look, SourceError, TaskName, asked_for, searched, task_name
from exporter.terminal.style import ASCII, UNICODE
from exporter.terminal.table import Frame, bar, candidates, condition, screen
from exporter.terminal.text import age, duration, percent, shortened, stopwatch, visible
from exporter.terminal.wait import LineTeller, progress_line
from tests.records import (
    DOWN,
    FAILED,
    NASTY,
    NASTY_ACCOUNT,
    NASTY_TASK,
    NOW,
    SHOWN,
    a_look,
    a_task,
    an_account,
)

PART = "shard 1 of 3 (counted from 0)"


def drawn(renderable: RenderableType, width: int = 120) -> list[str]:
    """The lines that a terminal without colours would show."""
    console = Console(file=io.StringIO(), width=width, height=100, color_system=None, markup=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def framed(width: int = 120, height: int | None = None, **fields: Any) -> Frame:
    return Frame(width, height, UNICODE, "http://localhost:10477", **fields)


# --- What comes from outside -----------------------------------------------------------------------------


def test_given_what_a_terminal_would_obey_when_shown_then_it_is_written_out() -> None:
    assert visible(NASTY) == SHOWN
    assert visible("Über 日本 é ✓ 🎬") == "Über 日本 é ✓ 🎬"


@pytest.mark.parametrize("width", [60, 120, 900])
def test_given_a_nasty_task_when_drawn_then_nothing_of_it_is_obeyed(width: int) -> None:
    look = a_look(NASTY_TASK, accounts=(NASTY_ACCOUNT,))

    lines = drawn(screen(look, framed(width, trouble=NASTY)), width)

    assert all(line.isprintable() for line in lines)
    assert all(cell_len(line) <= width for line in lines)
    assert len(lines) == 7
    if width == 900:
        assert lines[1] == f"✗ {SHOWN}"
        assert f"qencode/{SHOWN} is down for 3 min: {SHOWN}" in lines[3]
        assert f"unknown: {SHOWN}" in lines[6]


def test_given_a_nasty_task_when_piped_then_it_is_one_line_with_as_many_columns_as_ever() -> None:
    head, *rows = plain.table(a_look(NASTY_TASK)).split("\n")

    [row] = rows
    cells = dict(zip(head.split("\t"), row.split("\t"), strict=True))
    assert all(cell.isprintable() for cell in cells.values())
    assert [cells[name] for name in ("ACCOUNT", "TASK", "TYPE", "PHASE", "MESSAGE")] == [SHOWN] * 5


def test_given_a_nasty_task_when_written_as_json_then_a_terminal_can_show_it_and_a_reader_gets_it_whole() -> (
    None
):
    text = plain.document(a_look(NASTY_TASK))

    assert text.isprintable()
    [task] = json.loads(text)
    assert [task[name] for name in ("account", "task", "phase", "message", "project")] == [NASTY] * 5
    assert task["labels"] == {NASTY: NASTY}


@given(st.text())
def test_given_any_text_when_written_as_json_then_a_reader_gets_it_whole(text: str) -> None:
    written = plain.document(a_look(a_task(message=text.encode("utf-8", "replace").decode())))

    assert written.isprintable()
    assert json.loads(written)[0]["message"] == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("width", [40, 100, 400])
def test_given_a_nasty_task_when_waited_for_then_its_line_stays_one_line(width: int) -> None:
    name = TaskName(NASTY)

    known = drawn(progress_line(NASTY_TASK, name, NASTY, 1, width, UNICODE), width + 1)
    unknown = drawn(progress_line(None, name, NASTY, 1, width, UNICODE), width + 1)

    assert (len(known), len(unknown)) == (2, 1)
    assert all(line.isprintable() and cell_len(line) <= width for line in known + unknown)


def test_given_nasty_tasks_of_one_name_when_they_are_listed_then_each_is_one_line() -> None:
    assert candidates([NASTY_TASK]) == f"  qencode/{SHOWN}/{SHOWN}  {SHOWN}"


# --- Texts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("4bd1ac1ba5cc", 12, "4bd1ac1ba5cc"),
        ("4bd1ac1ba5cc", 11, "4bd1a…ba5cc"),
        ("4bd1ac1ba5cc", 10, "4bd1a…a5cc"),
        ("4bd1ac1ba5cc", 1, "…"),
        ("日本語の動画", 7, "日 … 画"),
    ],
)
def test_when_an_id_is_shortened_then_its_ends_stay(text: str, width: int, shown: str) -> None:
    assert shortened(text, width) == shown
    assert cell_len(shown) <= width


@given(st.text(alphabet=string.ascii_letters + "日本語é", max_size=40), st.integers(1, 40))
def test_given_any_text_when_shortened_then_it_fits(text: str, width: int) -> None:
    assert cell_len(shortened(text, width)) <= width


@pytest.mark.parametrize(
    ("progress", "shown"),
    [(None, ""), (0.0, "0%"), (0.29, "29%"), (0.57, "57%"), (0.995, "99%"), (1.0, "100%")],
)
def test_when_progress_is_written_then_only_what_is_done_is_100_per_cent(
    progress: float | None, shown: str
) -> None:
    assert percent(progress) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h00m"),
        (35_999, "9h59m"),
        (36_000, "10h"),
        (86_399, "23h"),
        (86_400, "1d"),
    ],
)
def test_when_a_duration_is_written_then_it_is_short(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
    assert age(NOW - timedelta(seconds=seconds), NOW) == shown


def test_when_a_wait_is_timed_then_it_is_to_the_second() -> None:
    assert [stopwatch(seconds) for seconds in (0.9, 61, 3_599, 36_061)] == [
        "0:00",
        "1:01",
        "59:59",
        "10:01:01",
    ]


# --- The table -------------------------------------------------------------------------------------------


NATURAL = {
    Column.SIGN: 1,
    Column.TASK: 36,
    Column.ACCOUNT: 13,
    Column.TYPE: 14,
    Column.PHASE: 11,
    Column.AGE: 5,
    Column.UNCHANGED: 9,
    Column.RETRIES: 1,
}


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (160, "sign task account type phase age unchanged retries progress"),
        (127, "sign task account type phase age unchanged retries progress"),
        (126, "sign task account type phase unchanged retries progress"),
        (97, "sign task account type phase unchanged retries progress"),
        (96, "sign task account type phase unchanged progress"),
        (80, "sign task account phase unchanged progress"),
        (65, "sign task phase unchanged progress"),
        (60, "sign task phase progress"),
        (50, "sign task progress"),
    ],
)
def test_given_a_terminal_when_laid_out_then_what_does_not_fit_is_left_out_in_order(
    width: int, columns: str
) -> None:
    assert list(layout(width, NATURAL)) == columns.split()


@pytest.mark.parametrize("width", [120, 127, 160])
def test_given_a_wide_terminal_when_laid_out_then_ids_are_whole(width: int) -> None:
    assert layout(width, NATURAL)[Column.TASK] == 36


@given(st.integers(39, 300))
def test_given_any_width_when_laid_out_then_all_of_it_is_used_and_no_more(width: int) -> None:
    widths = layout(width, NATURAL)

    assert sum(widths.values()) + GAP * (len(widths) - 1) == width


def test_given_tasks_when_drawn_then_one_sees_where_they_are() -> None:
    stalled = a_task(
        task="stuck",
        stalled=True,
        created=NOW - timedelta(hours=2),
        changed=NOW - timedelta(minutes=20),
        retries=2,
    )
    queued = a_task(task="early", state=State.QUEUED, phase="queued", progress=None, retries=None)
    done = a_task(task="late", state=State.COMPLETED, phase="completed", progress=None)
    accounts = (
        an_account(
            tasks=StateCounts(queued=1, running=1, completed=1, failed=1, cancelled=0, unknown=0),
            stalled=1,
            failed=1,
        ),
    )

    lines = drawn(
        screen(a_look(stalled, FAILED, queued, done, accounts=accounts), framed(116, hint="Ctrl-C stops")),
        116,
    )

    assert lines[0].startswith("transcoding  http://localhost:10477  ")
    assert lines[0].endswith(":00:00 · Ctrl-C stops")
    assert lines[1:] == [
        "! 1 stalled   ✗ 1 failed   ● 1 running   ○ 1 queued   ✓ 1 completed",
        "",
        f"   {'TASK':32}  ACCOUNT      TYPE       PHASE          AGE  UNCHANGED  ↻  PROGRESS",
        f"!  {'stuck':32}  qencode/vod  transcode  encoding     2h00m        20m  2  {'━' * 8}{'─' * 8}  50%",
        f"✗  {FAILED.task}  qencode/vod  transcode  error                      1m     resources: Encoder k…",
        f"○  {'early':32}  qencode/vod  transcode  queued                     1m",
        f"✓  {'late':32}  qencode/vod  transcode  completed                  1m     {'━' * 16} 100%",
    ]


def test_given_no_task_that_tells_when_it_was_created_when_drawn_then_there_is_no_age() -> None:
    assert drawn(screen(a_look(a_task()), framed()))[3].split() == [
        *("TASK", "ACCOUNT", "TYPE", "PHASE", "UNCHANGED", "↻", "PROGRESS")
    ]


@pytest.mark.parametrize(
    ("failed", "shown"),
    [
        ((42, 10), "✗ 10 failed, 32 earlier   ● 1 running"),
        ((3210, 0), "✗ 0 failed, 3,210 earlier   ● 1 running"),
        ((10, 10), "✗ 10 failed   ● 1 running"),
        ((0, 0), "● 1 running"),
    ],
)
def test_given_failures_from_before_it_was_watched_when_drawn_then_they_are_told_apart(
    failed: tuple[int, int], shown: str
) -> None:
    counts = StateCounts(queued=0, running=1, completed=0, failed=failed[0], cancelled=0, unknown=0)
    look = a_look(a_task(), accounts=(an_account(tasks=counts, failed=failed[1]),))
    console = Console(file=io.StringIO(), width=120, color_system="truecolor", force_terminal=True)

    console.print(screen(look, framed()))

    assert drawn(screen(look, framed()))[1] == shown
    assert isinstance(console.file, io.StringIO)
    alarms = "38;2;242;73;92" in console.file.getvalue()
    assert alarms == (failed[1] > 0), "only what failed lately is red"


def test_given_more_tasks_than_fit_when_drawn_then_it_fits_and_tells_how_many_there_are() -> None:
    tasks = [a_task(task=f"task-{number:02}") for number in range(40)]

    lines = drawn(screen(a_look(*tasks, total=12_345, accounts=(DOWN,)), framed(height=12)))

    assert len(lines) == 12
    assert [line[3:10] for line in lines[5:11]] == [f"task-{number:02}" for number in range(6)]
    assert lines[11] == "and 12,339 more"


def test_given_an_account_that_is_down_when_drawn_then_it_stands_on_top_with_the_reason() -> None:
    lines = drawn(screen(a_look(a_task(), accounts=(DOWN,)), framed()))

    assert lines[2] == "✗ qencode/vod is down for 3 min: HTTP 503 (2 times)"


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (an_account(), ""),
        (an_account(up=None, since=None, outcome=None), "qencode/vod has not been asked yet"),
        (
            an_account(up=False, outcome=Outcome.DEADLINE),
            "qencode/vod is down for 3 min: it does not answer in time",
        ),
        (an_account(outcome=Outcome.PARTIAL), "qencode/vod answers in part"),
        (DOWN, "qencode/vod is down for 3 min: HTTP 503 (2 times)"),
    ],
)
def test_when_an_account_is_not_well_then_it_is_told_how(account: AccountRecord, words: str) -> None:
    assert condition(account, NOW) == words


def test_given_a_shard_when_drawn_then_its_tasks_are_not_taken_for_all_and_it_still_fits() -> None:
    tasks = [a_task(task=f"task-{number:02}") for number in range(40)]

    lines = drawn(screen(replace(a_look(*tasks), part=PART), framed(80, height=12)), 80)

    assert lines[1] == "shard 1 of 3 (counted from 0) shows only its own tasks; --url asks another"
    assert len(lines) == 12
    assert lines[11] == "and 34 more"
    assert "shard" not in "".join(drawn(screen(a_look(*tasks), framed(80, height=12)), 80))


def test_given_no_answer_yet_when_drawn_then_it_is_told() -> None:
    assert drawn(screen(None, framed()))[1] == "asking …"
    assert drawn(screen(None, framed(trouble="Connection refused")))[1] == "✗ Connection refused"


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (0.0, "──────────   0%"),
        (0.25, "━━╸───────  25%"),
        (0.5, "━━━━━─────  50%"),
        (0.999, "━━━━━━━━━╸  99%"),
        (1.0, "━━━━━━━━━━ 100%"),
    ],
)
def test_given_progress_when_drawn_then_the_bar_is_as_long(progress: float, shown: str) -> None:
    assert bar(a_task(progress=progress), 15, UNICODE).plain == shown


@pytest.mark.parametrize(
    ("stalled", "message", "end"),
    [
        (False, "upload failed: 403", "waiting   2m  upload failed: 403"),
        (True, "upload failed: 403", "waiting   2m  stalled: upload failed: 403"),
        (True, "", "waiting   2m  stalled"),
        (False, "", "waiting   2m"),
    ],
)
def test_given_a_task_that_waits_to_be_tried_again_when_drawn_then_one_sees_why(
    stalled: bool, message: str, end: str
) -> None:
    waiting = a_task(
        phase="waiting",
        state=State.QUEUED,
        progress=None,
        message=message,
        stalled=stalled,
        changed=NOW - timedelta(minutes=2),
    )

    last = drawn(screen(a_look(waiting), framed(120)))[-1]
    assert " ".join(last.split()).endswith(" ".join(end.split()))


def test_given_an_encoding_without_signs_when_drawn_then_letters_stand_for_them() -> None:
    accounts = (DOWN, an_account(account="other", up=None, outcome=None))
    frame = Frame(120, None, ASCII, "somewhere", "Ctrl-C stops", "trouble")

    lines = drawn(screen(a_look(a_task(), FAILED, accounts=accounts), frame))

    assert all(line.isascii() for line in lines)


# --- For programs ----------------------------------------------------------------------------------------


def test_given_tasks_when_piped_then_no_column_is_empty_or_cut() -> None:
    long = a_task(task="x" * 300, retries=None, progress=None, created=NOW - timedelta(hours=3))

    assert plain.table(a_look(long, FAILED)).split("\n") == [
        (
            "PROVIDER\tACCOUNT\tTASK\tTYPE\tSTATE\tPHASE\tPROGRESS\tRETRIES\tSTALLED"
            "\tCHANGED\tREASON\tMESSAGE\tCREATED"
        ),
        (
            f"qencode\tvod\t{'x' * 300}\ttranscode\trunning\tencoding\t-\t-\tno"
            "\t2026-11-21T20:58:30Z\t-\t-\t2026-11-21T18:00:00Z"
        ),
        (
            "qencode\tvod\t4bd1ac1ba5cc9e2430f420712bb1e0be\ttranscode\tfailed\terror\t-\t0\tno"
            "\t2026-11-21T20:58:30Z\tresources\tEncoder killed\t-"
        ),
    ]


def test_given_nothing_when_piped_then_the_names_of_the_columns_are_there() -> None:
    assert plain.table(a_look()) == "\t".join(plain.COLUMNS)
    assert plain.document(a_look()) == "[]"


@pytest.mark.parametrize(
    ("look", "line"),
    [
        (
            a_look(a_task()),
            (
                "TRANSCODING OK: 0 failed, 0 stalled, 1 running, 0 queued"
                " | queued=0 running=1 completed=0 failed=0 cancelled=0 unknown=0 stalled=0 accounts_down=0"
            ),
        ),
        (
            a_look(a_task(stalled=True), FAILED, accounts=(DOWN,)),
            (
                "TRANSCODING CRITICAL: 1 failed, 1 stalled, 1 running, 0 queued, 1 of 1 accounts down"
                " | queued=0 running=1 completed=0 failed=1 cancelled=0 unknown=0 stalled=1 accounts_down=1"
            ),
        ),
    ],
)
def test_when_summed_up_then_it_is_as_nagios_reads_it(look: Look, line: str) -> None:
    assert plain.summary(look) == line


def test_given_a_shard_when_summed_up_then_it_is_told_and_what_programs_read_stays_as_it_is() -> None:
    alone = a_look(a_task(), accounts=(DOWN,))
    shard = replace(alone, part=PART)

    assert plain.summary(shard) == (
        "TRANSCODING WARNING: 0 failed, 0 stalled, 1 running, 0 queued, 1 of 1 accounts down,"
        " of shard 1 of 3 (counted from 0) only"
        " | queued=0 running=1 completed=0 failed=0 cancelled=0 unknown=0 stalled=0 accounts_down=1"
    )
    assert plain.table(shard) == plain.table(alone)
    assert plain.document(shard) == plain.document(alone)


HISTORY = a_task(state=State.FAILED, phase="error", history=True)


@pytest.mark.parametrize(
    ("look", "status"),
    [
        (a_look(), Exit.FINE),
        (a_look(a_task(), HISTORY), Exit.FINE),
        (a_look(FAILED), Exit.FAILED),
        (a_look(a_task(stalled=True)), Exit.FAILED),
        (a_look(a_task(), accounts=(DOWN, an_account())), Exit.UNASKED),
        (a_look(accounts=(an_account(up=None),)), Exit.UNASKED),
        (a_look(accounts=(an_account(outcome=Outcome.PARTIAL),)), Exit.FINE),
        (a_look(FAILED, accounts=(DOWN,)), Exit.FAILED),
    ],
)
def test_when_looked_at_once_then_the_status_says_how_all_is(look: Look, status: Exit) -> None:
    assert verdict(look) is status


def test_when_a_task_changes_then_a_line_is_written_and_only_then() -> None:
    written: list[str] = []
    complained: list[str] = []
    teller = LineTeller(written.append, complained.append)

    for task, trouble in (
        (None, "it is not known"),
        (None, "it is not known"),
        (a_task(), ""),
        (a_task(), "Connection refused"),
        (a_task(progress=0.501), ""),
        (a_task(progress=0.501, stalled=True), ""),
        (FAILED, ""),
    ):
        teller.tell(task, trouble, 1.0)

    assert [line.split("\t")[1:] for line in written] == [
        ["running", "encoding", "50%", "-"],
        ["running", "encoding", "50%", "stalled"],
        ["failed", "error", "-", "resources: Encoder killed"],
    ]
    assert complained == ["it is not known", "Connection refused"]


# --- Names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("4bd1", TaskName("4bd1")),
        ("qencode/vod/4bd1", TaskName("4bd1", Account(Provider.QENCODE, "vod"))),
        ("livepeer/studio/a/b", TaskName("a/b", Account(Provider.LIVEPEER, "studio"))),
        ("vimeo/vod/4bd1", TaskName("vimeo/vod/4bd1")),
        ("qencode/4bd1", TaskName("qencode/4bd1")),
    ],
)
def test_when_a_task_is_named_then_its_account_may_be_too(text: str, name: TaskName) -> None:
    assert task_name(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        (Wish(), ["vod", "studio"]),
        (Wish(providers=frozenset({Provider.LIVEPEER})), ["studio"]),
        (Wish(accounts=frozenset({"vod"})), ["vod"]),
    ],
)
def test_when_accounts_are_asked_for_then_only_these_count(wish: Wish, names: list[str]) -> None:
    accounts = [an_account(), an_account(provider=Provider.LIVEPEER, account="studio")]

    assert [account.account for account in asked_for(wish, accounts)] == names


@pytest.mark.parametrize("providers", [frozenset(), frozenset({Provider.LIVEPEER})])
def test_given_an_account_that_is_not_there_when_asked_for_then_that_is_a_mistake(
    providers: frozenset[Provider],
) -> None:
    wish = Wish(providers=providers, accounts=frozenset({"nope"}))

    with pytest.raises(SourceError, match="there is no account nope") as caught:
        asked_for(wish, [an_account()])

    assert caught.value.lasting


def test_given_a_shard_when_an_account_is_not_there_then_another_shard_may_have_it() -> None:
    words = "there is no account (livepeer/)?studio; there are: .*; shard 1 of 3 .*; --url asks another"

    with pytest.raises(SourceError, match=words):
        asked_for(Wish(accounts=frozenset({"studio"})), [an_account()], PART)
    with pytest.raises(SourceError, match=words):
        searched(task_name("livepeer/studio/upload"), [an_account()], PART)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("providers", [provider.value for provider in Provider]),
        ("states", [state.value for state in State]),
        ("sort", [sort.value for sort in Sort]),
    ],
)
def test_when_a_choice_is_offered_then_it_is_every_one_there_is(option: str, values: list[str]) -> None:
    [kind] = [parameter.type for parameter in tasks_command.params if parameter.name == option]

    assert isinstance(kind, click.Choice)
    assert list(kind.choices) == values


def test_when_the_program_starts_then_what_only_a_command_needs_is_not_loaded() -> None:
    code = "import exporter.cli, sys; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert {"rich", "requests", "msgspec", "yaml", "flask"} & set(loaded.split()) == set()
