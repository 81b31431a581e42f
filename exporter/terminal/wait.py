"""Waits until a task ends."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from exporter.model import State
from exporter.report.records import AccountRecord, TaskRecord
from exporter.report.words import span
from exporter.terminal.exits import OUTCOMES, Exit
from exporter.terminal.live import answers, signs_for, unechoed
from exporter.terminal.plain import moment, row
from exporter.terminal.source import Sighting, Source, SourceError, TaskName, account_of, one_shard_only
from exporter.terminal.style import COLOURS, QUIET, Signs, colour, sign
from exporter.terminal.table import bar, candidates, condition, reason
from exporter.terminal.text import percent, shortened, stopwatch, visible


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        interval: Between two questions.
        timeout: For the end; None for ever.
        appear: For a task that is not known, or an exporter that can't be asked.
    """

    interval: float
    timeout: float | None
    appear: float


@dataclass(frozen=True, slots=True)
class End:
    """How the waiting ended.

    Attributes:
        status: With which to exit.
        words: Why, if it is not the task that ended.
    """

    status: Exit
    words: str = ""


class Teller(Protocol):
    """Shows how far it is."""

    def tell(self, task: TaskRecord | None, trouble: str, seconds: float) -> None:
        """Show a task, what is wrong with the asking, and for how many seconds has been waited."""


class AmbiguousError(Exception):
    """Several tasks are called so; the message names them."""


def wait_for(source: Source, name: TaskName, patience: Patience, teller: Teller) -> End:
    """Wait until a task ends; return how.

    Raises:
        AmbiguousError: several tasks are called so.
        SourceError: it can't be asked, and could not be later.
    """
    waiting = _Waiting(source, name)
    begun = heard = monotonic()
    with contextlib.closing(answers(waiting.ask, patience.interval)) as events:
        for event in events:
            now = monotonic()
            if event is not None:
                waiting.hear(event)
            task = waiting.task
            teller.tell(task, waiting.trouble, now - begun)
            if not waiting.lost:
                heard = now
                if task and task.state in OUTCOMES:
                    break
            if patience.timeout is not None and now - begun >= patience.timeout:
                return End(Exit.TIMEOUT, f"{name} has not ended within {span(patience.timeout)}")
            if now - heard >= patience.appear:
                words = waiting.trouble or f"{source.name} does not answer"
                return End(Exit.UNASKED, f"given up after {span(now - heard)}: {words}")
    assert task  # noqa: S101 - only its end breaks the loop
    return End(OUTCOMES[task.state])


class _Waiting:
    """What is known about the task that is waited for.

    Attributes:
        task: As it was last seen.
        trouble: What is wrong with it, or with the asking.
        lost: Whether it was not seen at the last look.
    """

    def __init__(self, source: Source, name: TaskName) -> None:
        self.task: TaskRecord | None = None
        self.trouble = ""
        self.lost = True
        self._source = source
        self._name = name

    def ask(self) -> Sighting:
        return self._source.find(self._name)

    def hear(self, event: Sighting | SourceError) -> None:
        if isinstance(event, SourceError):
            if event.lasting and self.task is None:
                raise event
            self.trouble, self.lost = str(event), True
            return
        if len(event.tasks) > 1:
            raise AmbiguousError(
                f"several tasks are called {self._name}; name one of them:\n{candidates(event.tasks)}"
            )
        self.lost = not event.tasks
        if event.tasks:
            [self.task] = event.tasks
            # One of the same name elsewhere changes nothing any more.
            self._name = replace(self._name, account=account_of(self.task))
        elsewhere = f": {one_shard_only(event.part)}" if event.part else ""
        unknown = [f"{self._name} is not known{elsewhere}"] if self.lost else []
        self.trouble = "; ".join(unknown + self._conditions(event.accounts))

    def _conditions(self, accounts: Sequence[AccountRecord]) -> list[str]:
        now = datetime.now(UTC)
        ours = (one for one in accounts if self.task is None or account_of(one) == account_of(self.task))
        return [words for account in ours if (words := condition(account, now))]


class LineTeller:
    """Writes a line for each change, for what reads it: time, state, phase, progress and reason."""

    def __init__(self, write: Callable[[str], None], complain: Callable[[str], None]) -> None:
        """Write nothing yet.

        Args:
            write: Takes a line about the task.
            complain: Takes a line about the asking.
        """
        self._write = write
        self._complain = complain
        self._told: tuple[str, ...] = ()
        self._complained = ""

    def tell(self, task: TaskRecord | None, trouble: str, seconds: float) -> None:
        """Write a line if something has changed."""
        if trouble and trouble != self._complained:
            self._complain(visible(trouble))
        self._complained = trouble
        if task is None:
            return
        words = "stalled" if task.stalled else reason(task)
        told = (task.state, task.phase, percent(task.progress), words)
        if told != self._told:
            self._told = told
            self._write(row((moment(datetime.now(UTC)), *told)))


class BarTeller:
    """Draws one line that moves."""

    def __init__(self, console: Console, name: TaskName) -> None:
        self._console = console
        self._name = name
        self._signs = signs_for(console)
        self._live = Live(console=console, auto_refresh=False, redirect_stderr=False)

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """Hide the cursor for the time of the context; the last line stays."""
        with unechoed(), self._live:
            yield

    def tell(self, task: TaskRecord | None, trouble: str, seconds: float) -> None:
        """Draw the line anew."""
        # The last column stays free: some terminals wrap as soon as it is written.
        width = max(20, self._console.width - 1)
        self._live.update(progress_line(task, self._name, trouble, seconds, width, self._signs), refresh=True)


def progress_line(
    task: TaskRecord | None, name: TaskName, trouble: str, seconds: float, width: int, signs: Signs
) -> RenderableType:
    """Return the line, and under it why it does not move or why the task failed."""
    time = f"  {stopwatch(seconds)}"
    if task is None:
        waited = Text(f"{signs.states[State.UNKNOWN]} {shortened(visible(str(name)), width // 2, signs.gap)}")
        words = Text(visible(trouble) or "asking", COLOURS[State.UNKNOWN] if trouble else QUIET)
        line = Text.assemble(waited, "  ", words)
        line.truncate(width - len(time), overflow="ellipsis")
        return line.append(time, QUIET)
    shown = shortened(visible(task.task), max(9, width // 3), signs.gap)
    phase = shortened(visible(task.phase), 14, signs.gap)
    line = Text.assemble(
        (sign(task, signs), f"bold {colour(task)}"), f" {shown}  ", (f"{phase:<11}", colour(task)), "  "
    )
    line.append_text(bar(task, width - line.cell_len - len(time), signs)).append(time, QUIET)
    below = [words for words in (reason(task), "stalled" if task.stalled else "", visible(trouble)) if words]
    why = Text(f"  {'; '.join(below)}", colour(task) if not trouble else COLOURS[State.UNKNOWN])
    for text in (line, why):
        text.no_wrap, text.overflow = True, "ellipsis"
        text.truncate(width, overflow="ellipsis")
    return Group(line, why) if below else line
