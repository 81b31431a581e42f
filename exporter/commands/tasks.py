"""The command `tasks`."""

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from exporter.commands.asking import SOURCES, Asking, source_options

if TYPE_CHECKING:
    from rich.console import Console

    from exporter.report.board import Wish
    from exporter.terminal.source import Look, Source


@click.command(cls=Asking, epilog=SOURCES)
@source_options
@click.option(
    "--watch/--once",
    default=None,
    help="Go on until Ctrl-C, or look once. By default, only a table on a terminal is watched.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json", "summary"]),
    default="table",
    show_default=True,
    help="json: a list of tasks, one line a look; summary: one line as Nagios' plugins write it.",
)
@click.option(
    "--provider",
    "providers",
    multiple=True,
    type=click.Choice(["qencode", "livepeer"]),
    help="Can be repeated.",
)
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Can be repeated.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["queued", "running", "completed", "failed", "cancelled", "unknown"]),
    help="Can be repeated.",
)
@click.option("--stalled", is_flag=True, help="Only tasks that are stalled.")
@click.option(
    "--search", default="", metavar="TEXT", help="A part of the id, phase, reason, asset, project or a label."
)
@click.option(
    "--sort",
    type=click.Choice(["urgency", "task", "account", "state", "progress", "retries", "created", "changed"]),
    default="urgency",
    show_default=True,
    help="By urgency, stalled tasks come first, then failed ones, then those that run.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="Tasks to show at most; without it, as many as fit when watching, else all.",
)
@click.pass_context
def tasks(context: click.Context, /, **options: Any) -> None:
    """Show the tasks, with their progress.

    AGE is the time since a task was created, if there is room for it; UNCHANGED is the time since its phase
    or progress last changed. "Failed" counts what failed while it was watched, "earlier" what had failed
    before its account was first watched.

    In a pipe, the table has a line for each task under a line of names. Tabs part its columns, of which none
    is ever left out or shortened; new ones will come last. There, CREATED and CHANGED are dates.

    \b
    Exit status, after one look:
      0    all is well
      2    a task that was asked for is stalled, or failed while it was watched
      1    otherwise, if an account is down or the exporter can't be asked
      3    with --format summary, if the exporter can't be asked: UNKNOWN to Nagios
      130  after Ctrl-C
    """  # noqa: D301 - click wants the character
    from exporter.commands.sources import complain, source, terminal
    from exporter.terminal import plain
    from exporter.terminal.exits import UNKNOWN, unasked, verdict
    from exporter.terminal.source import SourceError
    from exporter.terminal.table import condition

    style, limit, wish = options["style"], options["limit"], _wish(options)
    console = terminal() if style == "table" else None
    watching = console is not None if options["watch"] is None else options["watch"]
    with contextlib.closing(source(context, options)) as asked:
        if watching:
            _watch(asked, wish, options, console)
        try:
            look = asked.look(wish, None if style == "summary" else limit)
        except SourceError as error:
            if style != "summary":
                raise
            click.echo(plain.unknown(error))
            context.exit(UNKNOWN)
        _print(look, style, console, asked.name)
        if console is None and (words := _unsaid(look, style)):
            complain(words)
        for account in unasked(look.accounts):
            complain(condition(account, look.at))
        context.exit(verdict(look))


def _wish(options: Mapping[str, Any]) -> "Wish":
    from exporter.model import Provider, State
    from exporter.report.board import Sort, Wish

    return Wish(
        providers=frozenset(map(Provider, options["providers"])),
        accounts=frozenset(options["accounts"]),
        states=frozenset(map(State, options["states"])),
        stalled=True if options["stalled"] else None,
        search=options["search"],
        sort=Sort(options["sort"]),
        descending=options["reverse"],
    )


def _watch(source: "Source", wish: "Wish", options: Mapping[str, Any], console: "Console | None") -> None:
    """Show or print what is known again and again, until a Ctrl-C."""
    from exporter.commands.sources import complain
    from exporter.terminal.live import follow, watch

    style, limit, interval = options["style"], options["limit"], options["interval"]
    if console is not None:
        watch(lambda fit: source.look(wish, fit), console, title=source.name, interval=interval, most=limit)
    most = None if style == "summary" else limit
    said = ""
    for event in follow(lambda: source.look(wish, most), interval):
        if isinstance(event, str):
            complain(f"{event}; trying again")
            continue
        _print(event, style, None, source.name)
        words = _unsaid(event, style)
        if words and words != said:
            complain(words)
        said = words


def _unsaid(look: "Look", style: str) -> str:
    """Return whose tasks these are, if not all, and what is printed for programs has no place for it."""
    from exporter.terminal.source import one_shard_only

    return "" if style == "summary" else one_shard_only(look.part)


def _print(look: "Look", style: str, console: "Console | None", title: str) -> None:
    if console is not None:
        from exporter.terminal.live import signs_for
        from exporter.terminal.table import Frame, screen

        console.print(screen(look, Frame(console.width, None, signs_for(console), title)))
        return
    from exporter.terminal import plain

    styles = {"table": plain.table, "json": plain.document, "summary": plain.summary}
    click.echo(styles[style](look))
