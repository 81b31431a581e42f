"""What the commands that ask have in common: their options, and how they end."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from exporter.flags import config_option

F = TypeVar("F", bound=Callable[..., Any])

PASSWORD_VARIABLE: Final = "TRANSCODING_EXPORTER_PASSWORD"  # noqa: S105 - its name, not a password

INTERRUPTED: Final = 130
TERMINATED: Final = 143

SOURCES: Final = """
By default a running exporter is asked, at --url. With --direct, or with --config.file on the command line,
the services themselves are, as the configuration says, and no ledger is touched. To a command that has just
begun, what failed before is history, and of Qencode's tasks it can't know since when they stand still: only
a running exporter knows well what failed lately and what is stalled.
"""


class Duration(click.ParamType):  # type: ignore[type-arg] # older versions of click have no argument here
    """A duration in Prometheus' syntax, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds."""
        if isinstance(value, float):
            return value
        from exporter.config_values import Duration as Reader
        from exporter.schema import InvalidValueError, Outside

        try:
            return Reader(positive=True).parse(str(value), Outside({}, Path(), Path.read_text))
        except InvalidValueError as invalid:
            self.fail(f"{invalid.problem}; {invalid.remedy}", param, ctx)


class Asking(click.Command):
    """A command whose status says what it found; a mistake in its use must not look like something found."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments."""
        with _misuse():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and end well however it ends."""
        from exporter.terminal.source import SourceError
        from exporter.terminal.text import visible

        # What ends by an exception gives the terminal back as it was.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        with _misuse():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                ctx.exit(INTERRUPTED)
            except SourceError as error:
                raise click.ClickException(visible(str(error))) from None


class _MisuseError(click.UsageError):
    exit_code = 1


@contextlib.contextmanager
def _misuse() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        raise _MisuseError(error.format_message(), error.ctx) from None


def _option(flag: str, **attributes: Any) -> Callable[[F], F]:
    """Return an option that can be given by an environment variable too."""
    variable = f"TRANSCODING_EXPORTER_{flag.strip('-').replace('-', '_').upper()}"
    return click.option(flag, envvar=variable, show_envvar=True, show_default=True, **attributes)


def _file(flag: str, words: str) -> Callable[[F], F]:
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return _option(flag, type=kind, metavar="FILE", help=words)


def _url(_context: click.Context, _option: click.Parameter, url: str) -> str:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment:
        raise click.BadParameter("write it like http://localhost:10477 or https://host/prefix")
    if parts.username is not None:
        raise click.BadParameter(
            f"a password has no place in it: use --user, and --password-file or {PASSWORD_VARIABLE}"
        )
    return url


_OPTIONS: Final = (
    _option(
        "--url",
        default="http://localhost:10477",
        callback=_url,
        metavar="URL",
        help="The running exporter, with its route prefix.",
    ),
    _option(
        "--user",
        metavar="NAME",
        help=f"For basic authentication; the password comes from --password-file or {PASSWORD_VARIABLE}.",
    ),
    _file("--password-file", "Holds the user's password."),
    _file("--ca-file", "Certificates to trust instead of the system's."),
    _file("--cert-file", "Our certificate, if the exporter wants one."),
    _file("--key-file", "Its key, unless both are in one file."),
    config_option,
    click.option("--direct", is_flag=True, help="Ask the services themselves."),
    click.option(
        "--interval",
        type=Duration(),
        default="2s",
        show_default=True,
        metavar="DURATION",
        help="How often to ask.",
    ),
)


def source_options(command: F) -> F:
    """Add the options that say whom to ask."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
