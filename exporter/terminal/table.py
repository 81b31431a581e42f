"""The records as a person sees them on a terminal. Pure: records become what rich can draw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from exporter.model import Outcome, State
from exporter.report.board import together
from exporter.report.records import AccountRecord, TaskRecord
from exporter.report.words import span
from exporter.terminal.layout import GAP, Column, layout
from exporter.terminal.source import Look, account_of, one_shard_only
from exporter.terminal.style import COLOURS, QUIET, STALLED, Signs, colour, sign
from exporter.terminal.text import age, clock, percent, shortened, visible

_BAR: Final = 40
"""Columns of the longest bar."""

_PERCENT: Final = 5
"""Columns of a blank and `100%`."""

_STALLED: Final = "stalled"
_WORDY: Final = 34
"""Columns of progress from which on there is room for that word beside the bar."""

_PHASE: Final = 11
_AGE: Final = 5
"""Columns of most phases and of every age, so that the table stands still while they change."""

_APART: Final = "   "

_ORDER: Final = (State.FAILED, State.UNKNOWN, State.RUNNING, State.QUEUED, State.CANCELLED, State.COMPLETED)


@dataclass(frozen=True, slots=True)
class Frame:
    """Around the table.

    Attributes:
        width: Columns of the terminal.
        height: Its lines; None if it need not fit.
        signs: What is drawn.
        title: What is asked.
        hint: How to stop, at the end of the first line.
        trouble: Why there is nothing newer.
    """

    width: int
    height: int | None
    signs: Signs
    title: str
    hint: str = ""
    trouble: str = ""


def screen(look: Look | None, frame: Frame) -> RenderableType:
    """Return what is known, as it fits: the accounts in trouble, the tasks, and how many more there are.

    Args:
        look: What was seen; None before the first answer.
        frame: What is around it.
    """
    lines = [_head(look, frame)]
    if frame.trouble:
        lines.append(_line(Text(f"{frame.signs.down} {visible(frame.trouble)}", COLOURS[State.FAILED])))
    if look is None:
        return Group(*lines, *([] if frame.trouble else [Text("asking …", QUIET)]))
    if look.part:
        lines.append(_line(Text(one_shard_only(look.part), QUIET)))
    lines += [*_counts(look, frame), *_troubles(look, frame.signs), Text()]
    # The head of the table, and the line that tells how many more there are.
    room = len(look.tasks) if frame.height is None else max(1, frame.height - len(lines) - 2)
    tasks = look.tasks[:room]
    body = [_table(tasks, look.at, frame)] if tasks else [Text("no task that was asked for", QUIET)]
    more = look.total - len(tasks)
    foot = [Text(f"and {more:,} more", QUIET)] if more > 0 else []
    return Group(*lines, *body, *foot)


def bar(task: TaskRecord, width: int, signs: Signs) -> Text:
    """Return the progress of a task as a bar of so many columns, with its per cent."""
    text, tint = Text(no_wrap=True), colour(task)
    progress = 1.0 if task.state is State.COMPLETED else task.progress
    if progress is None:
        return text
    length = max(1, min(_BAR, width - _PERCENT))
    halves = int(round(progress * 2 * length, 9))
    text.append(signs.done * (halves // 2) + signs.half * (halves % 2), tint)
    text.append(signs.rest * (length - (halves + 1) // 2), QUIET)
    return text.append(f"{percent(progress):>{_PERCENT}}", tint)


def reason(task: TaskRecord) -> str:
    """Return why a task, or its last attempt, failed; empty if the provider said nothing."""
    return ": ".join(visible(part) for part in (task.reason or "", task.message) if part)


def trouble_of(account: AccountRecord) -> str:
    """Return in words what an account's last poll failed of."""
    return "; ".join(
        f"{visible(error.message)}{f' ({error.times} times)' if error.times > 1 else ''}"
        for error in account.errors
    )


def condition(account: AccountRecord, now: datetime) -> str:
    """Return in words how an account is that is not well; empty if it is."""
    name = visible(str(account_of(account)))
    if account.up is None:
        return f"{name} has not been asked yet"
    if account.up and account.outcome is not Outcome.PARTIAL:
        return ""
    since = ""
    if account.since and not account.up:
        since = f" for {span((now - account.since).total_seconds())}"
    late = "it does not answer in time" if account.outcome is Outcome.DEADLINE else ""
    words = "; ".join(filter(None, (late, trouble_of(account))))
    return f"{name} {'answers in part' if account.up else 'is down'}{since}{': ' if words else ''}{words}"


def _head(look: Look | None, frame: Frame) -> RenderableType:
    left = Text.assemble(("transcoding", "bold"), "  ", (visible(frame.title), QUIET), no_wrap=True)
    left.overflow = "ellipsis"
    right = Text(clock(look.at) if look else "", no_wrap=True)
    if frame.hint:
        right.append(f"{f' {frame.signs.dot} ' if look else ''}{frame.hint}", QUIET)
    grid = Table.grid(expand=True, padding=(0, GAP, 0, 0))
    grid.add_column(ratio=1, no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(left, right)
    return grid


def _counts(look: Look, frame: Frame) -> list[Text]:
    """Return how many tasks are in which state, on as many lines as that takes."""
    counted = together(account.tasks for account in look.accounts)
    failed = sum(account.failed for account in look.accounts)
    stalled, signs = sum(account.stalled for account in look.accounts), frame.signs
    parts = [Text(f"{signs.stalled} {stalled:,} stalled", STALLED)] if stalled else []
    for state in _ORDER:
        if count := getattr(counted, state):
            earlier = count - failed if state is State.FAILED else 0
            tint = COLOURS[state] if count > earlier else QUIET
            parts.append(Text(f"{signs.states[state]} {count - earlier:,} {state}", tint))
            if earlier:
                parts[-1].append(f", {earlier:,} earlier", QUIET)
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + len(_APART) + part.cell_len <= frame.width:
            lines[-1].append(_APART).append_text(part)
        else:
            lines.append(part)
    return [_line(line) for line in lines] or [Text("no tasks", QUIET)]


def _troubles(look: Look, signs: Signs) -> list[Text]:
    return [
        _line(Text(f"{signs.stalled if account.up else signs.down} {words}", _tint(account)))
        for account in look.accounts
        if (words := condition(account, look.at))
    ]


def _tint(account: AccountRecord) -> str:
    if account.up is None:
        return QUIET
    return STALLED if account.up else COLOURS[State.FAILED]


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _table(tasks: Sequence[TaskRecord], now: datetime, frame: Frame) -> Table:
    rows = [_cells(task, now, frame.signs) for task in tasks]
    heads = _heads(frame.signs)
    natural: dict[Column, int] = {
        column: max(cell_len(heads[column]), *(cell_len(row[column].plain) for row in rows))
        for column in heads
        if column is not Column.PROGRESS
    }
    natural[Column.PHASE] = max(natural[Column.PHASE], _PHASE)
    natural[Column.AGE] = _AGE if any(task.created for task in tasks) else 0
    widths = layout(frame.width, natural)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold dim")
    for column, width in widths.items():
        right = column in (Column.AGE, Column.UNCHANGED, Column.RETRIES)
        table.add_column(
            Text(heads[column]),
            width=width,
            justify="right" if right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for task, row in zip(tasks, rows, strict=True):
        row[Column.PROGRESS] = _progress(task, widths[Column.PROGRESS], frame.signs)
        row[Column.TASK].plain = shortened(row[Column.TASK].plain, widths[Column.TASK], frame.signs.gap)
        table.add_row(*(row[column] for column in widths))
    return table


def _heads(signs: Signs) -> dict[Column, str]:
    return {
        Column.SIGN: "",
        Column.TASK: "TASK",
        Column.ACCOUNT: "ACCOUNT",
        Column.TYPE: "TYPE",
        Column.PHASE: "PHASE",
        Column.AGE: "AGE",
        Column.UNCHANGED: "UNCHANGED",
        Column.RETRIES: signs.retries,
        Column.PROGRESS: "PROGRESS",
    }


def _cells(task: TaskRecord, now: datetime, signs: Signs) -> dict[Column, Text]:
    tint = colour(task)
    return {
        Column.SIGN: Text(sign(task, signs), f"bold {tint}"),
        Column.TASK: Text(visible(task.task)),
        Column.ACCOUNT: Text(visible(str(account_of(task))), QUIET),
        Column.TYPE: Text(visible(task.task_type), QUIET),
        Column.PHASE: Text(visible(task.phase), tint),
        Column.AGE: Text(age(task.created, now) if task.created else "", QUIET),
        Column.UNCHANGED: Text(age(task.changed, now), tint if task.stalled else QUIET),
        Column.RETRIES: Text(str(task.retries) if task.retries else ""),
    }


def _progress(task: TaskRecord, width: int, signs: Signs) -> Text:
    """Return how far a task is; of one that failed, why, and of one that waits to be tried again, too."""
    if task.state is State.FAILED:
        return Text(reason(task), colour(task))
    wordy = width >= _WORDY
    # All bars are of one length, whether the word follows or not.
    text = bar(task, width - len(_STALLED) - 1 if wordy else width, signs)
    if not text:
        words = ": ".join(filter(None, (_STALLED if task.stalled else "", reason(task))))
        return Text(words, STALLED if task.stalled else colour(task))
    return text.append(f" {_STALLED}", STALLED) if task.stalled and wordy else text


def candidates(tasks: Iterable[TaskRecord]) -> str:
    """Return the full names of tasks, one a line."""
    return "\n".join(
        f"  {visible(str(account_of(task)))}/{visible(task.task)}  {visible(task.phase)}" for task in tasks
    )
