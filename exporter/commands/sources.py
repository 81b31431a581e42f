"""Turns the options that say whom to ask into a source, and finds the terminal to draw on."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource
from rich.console import Console

from exporter.commands.asking import PASSWORD_VARIABLE
from exporter.startup import load_config, make_exporter, set_up_logs, stored
from exporter.terminal.source import DirectSource, Source
from exporter.terminal.text import visible

_POLL: Final = 60.0
"""Seconds for which the services are waited for, if they are asked directly."""


def source(context: click.Context, options: Mapping[str, Any]) -> Source:
    """Return whom to ask."""

    def typed(name: str) -> bool:
        return context.get_parameter_source(name) is ParameterSource.COMMANDLINE

    if not options["direct"] and not typed("config_file"):
        return _running_exporter(options)
    if typed("url"):
        raise click.UsageError("--url asks an exporter, and the others ask the services: leave one out")
    return _services(options["config_file"])


def terminal() -> Console | None:
    """Return the terminal on standard output; None if nothing can be drawn there."""
    # Whatever the encoding, what a provider says must not end the program.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.reconfigure(errors="backslashreplace")
    # A shell's `>&-` leaves no stream at all.
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    return Console(highlight=False, markup=False, emoji=False)


def complain(words: str) -> None:
    """Write a line to standard error, of which a terminal obeys nothing."""
    click.echo(visible(words), err=True)


def _running_exporter(options: Mapping[str, Any]) -> Source:
    # Imported only where it is used: requests takes a while.
    from exporter.terminal.api import Access
    from exporter.terminal.http_source import HttpSource

    user = options["user"] or ""
    password = _password(options["password_file"]) if user else ""
    if options["key_file"] and not options["cert_file"]:
        raise click.UsageError("--key-file is the key of a certificate: name that with --cert-file")
    files = options["ca_file"], options["cert_file"], options["key_file"]
    return HttpSource(Access(options["url"], user, password, *files))


def _password(path: Path | None) -> str:
    if path is None:
        password = os.environ.get(PASSWORD_VARIABLE)
        if password is None:
            raise click.UsageError(
                f"--user wants a password: give --password-file, or set {PASSWORD_VARIABLE}"
            )
        return password
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise click.UsageError(f"no password can be read from {path}") from None


def _services(config_file: Path | None) -> Source:
    # What goes wrong with an account is shown among its tasks.
    set_up_logs("error", "logfmt")
    # A look is no history: a ledger that is in use is left alone.
    exporter = make_exporter(stored(load_config(config_file), ""))
    return DirectSource(
        str(config_file) if config_file else "the services",
        lambda: exporter.refresh(_POLL),
        exporter.board,
        label=exporter.label,
        now=lambda: datetime.fromtimestamp(exporter.now(), UTC),
        close=exporter.close,
    )
