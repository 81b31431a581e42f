"""The command `wait`."""

import contextlib
from typing import Any

import click

from exporter.commands.asking import SOURCES, Asking, Duration, source_options


@click.command(cls=Asking, epilog=SOURCES)
@source_options
@click.argument("task")
@click.option("--timeout", type=Duration(), metavar="DURATION", help="Wait no longer than this.")
@click.option(
    "--appear",
    type=Duration(),
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="Give up if the task is not known, or nobody can be asked, for so long.",
)
@click.pass_context
def wait(context: click.Context, /, task: str, timeout: float | None, appear: float, **options: Any) -> None:
    """Wait until a task ends.

    TASK is its id or its Qencode token, or PROVIDER/ACCOUNT/TASK if several accounts have one of that name.
    It need not be known yet. In a pipe, each change is a line: time, state, phase, progress and reason,
    parted by tabs.

    \b
    Exit status:
      0    the task is completed
      2    it failed
      3    it was cancelled
      4    it has not ended within --timeout
      1    it was not known, or nobody could be asked, for --appear
      130  after Ctrl-C
    """  # noqa: D301 - click wants the character
    from exporter.commands.sources import complain, source, terminal
    from exporter.terminal.source import task_name
    from exporter.terminal.wait import AmbiguousError, BarTeller, LineTeller, Patience, wait_for

    name, patience = task_name(task), Patience(options["interval"], timeout, appear)
    console = terminal()
    with contextlib.closing(source(context, options)) as asked:
        try:
            if console is None:
                end = wait_for(asked, name, patience, LineTeller(click.echo, complain))
            else:
                bar = BarTeller(console, name)
                with bar.drawing():
                    end = wait_for(asked, name, patience, bar)
        except AmbiguousError as error:
            raise click.ClickException(str(error)) from None
    if end.words:
        complain(end.words)
    context.exit(end.status)
