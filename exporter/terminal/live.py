"""The effects: asks again and again, and draws what comes on a terminal that may change its size."""

import contextlib
import queue
import signal
import sys
import termios
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Final, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live

from exporter.terminal.source import Look, SourceError
from exporter.terminal.style import ASCII, UNICODE, Signs
from exporter.terminal.table import Frame, screen

T = TypeVar("T")

TICK: Final = 0.5
"""Seconds after which what only time changes is drawn anew."""


def answers(ask: Callable[[], T], interval: float) -> Generator[T | SourceError | None]:
    """Ask now and then, and yield what comes; None if it is only time that passed, or the size that changed.

    A thread of its own asks, so that Ctrl-C, the size and the time are heeded while an answer is waited for.

    Args:
        ask: Returns an answer, or raises `SourceError`.
        interval: Seconds between an answer and the next question.
    """
    # A simple queue, for it may be put into by what interrupts its own getting.
    news: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            try:
                news.put(ask())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is seen
                news.put(error)
            ended.wait(interval)

    before = signal.signal(signal.SIGWINCH, lambda *_: news.put(None))
    # A daemon, so that an exporter that hangs does not hold up the end.
    threading.Thread(target=run, name="ask", daemon=True).start()
    try:
        while True:
            try:
                event = news.get(timeout=TICK)
            except queue.Empty:
                event = None
            if isinstance(event, BaseException) and not isinstance(event, SourceError):
                raise event
            yield event
    finally:
        ended.set()
        signal.signal(signal.SIGWINCH, before)


def follow(ask: Callable[[], T], interval: float) -> Iterator[T | str]:
    """Ask now and then, and yield what comes, or why nothing does.

    Raises:
        SourceError: the first question can't be answered, and would not be later.
    """
    answered = False
    with contextlib.closing(answers(ask, interval)) as events:
        for event in events:
            if isinstance(event, SourceError):
                if event.lasting and not answered:
                    raise event
                yield str(event)
            elif event is not None:
                answered = True
                yield event


def watch(
    ask: Callable[[int], Look], console: Console, *, title: str, interval: float, most: int | None
) -> None:
    """Show what is known on the whole terminal, until something is raised: a Ctrl-C.

    Args:
        ask: Given how many tasks fit, returns what is to be shown.
        console: The terminal.
        title: What is asked.
        interval: Seconds between two questions.
        most: Tasks to show at most; as many as fit if None.

    Raises:
        SourceError: the first question can't be answered, and would not be later.
    """
    signs = signs_for(console)
    look: Look | None = None
    trouble = ""
    events = answers(lambda: ask(most or console.height), interval)
    with contextlib.closing(events), _screen(console) as draw:
        draw(screen(None, _frame(console, signs, title, "")))
        for event in events:
            if isinstance(event, SourceError):
                if event.lasting and look is None:
                    raise event
                trouble = f"{event}; trying again"
            elif event is not None:
                look, trouble = event, ""
            draw(screen(look, _frame(console, signs, title, trouble)))


def signs_for(console: Console) -> Signs:
    """Return the signs that a terminal can show."""
    return UNICODE if console.encoding.startswith("utf") else ASCII


def _frame(console: Console, signs: Signs, title: str, trouble: str) -> Frame:
    width, height = console.size
    return Frame(width, height, signs, title, "Ctrl-C stops", trouble)


@contextlib.contextmanager
def _screen(console: Console) -> Iterator[Callable[[RenderableType], None]]:
    """The terminal's other screen; what stood on the first one is there again afterwards."""
    live = Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False)
    with unechoed(), live:
        yield lambda renderable: live.update(renderable, refresh=True)


@contextlib.contextmanager
def unechoed() -> Iterator[None]:
    """Keep what is typed meanwhile off the screen, and from the shell afterwards."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    silent = [*before]
    silent[3] = before[3] & ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)
