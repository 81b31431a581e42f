"""The command `rules`."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from exporter.commands.writing import directory_option, write


@click.command()
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another value for a setting, like --set success_objective=0.95; can be repeated.",
)
@click.option(
    "--settings",
    is_flag=True,
    help="List the settings instead, with their defaults and the alerts that each one moves.",
)
@directory_option("Write the rule files there instead of printing them as one.")
@click.option(
    "--keep",
    is_flag=True,
    help="Keep the settings that the files in --directory were written with, but for those of --set.",
)
def rules(given: tuple[str, ...], settings: bool, directory: Path | None, keep: bool) -> None:
    """Print Prometheus' alerting and recording rules."""
    from exporter.mixin import rules as mixin
    from exporter.mixin.settings import SettingError

    if settings:
        click.echo("\n".join(_listed()))
        return
    if keep and directory is None:
        raise click.UsageError("--keep needs --directory: the files there tell what to keep.")
    named = _named(given)
    before = {} if directory is None else _settings_in(directory, keep)
    wanted = {**before, **named} if keep else named
    try:
        if directory is None:
            click.echo(mixin.rules(wanted), nl=False)
            return
        files = mixin.rule_files(wanted)
    except SettingError as error:
        raise click.BadParameter(str(error), param_hint="--set or --keep" if keep else "--set") from None
    write(directory, files)
    _warn_of_lost(before, wanted, directory)


def _settings_in(directory: Path, keep: bool) -> Mapping[str, str]:
    """Return the settings, other than the defaults, that the rule files of a folder were written with.

    Args:
        directory: The folder, which need not exist.
        keep: Whether they are needed: then a file that does not tell them is an error.

    Raises:
        click.ClickException: a file can't be read, or does not tell what is needed.
    """
    from exporter.mixin.rules import FILES, settings_of

    found: dict[str, str] = {}
    for path in (directory / name for name in FILES):
        try:
            told = settings_of(path.read_text(encoding="utf-8", errors="replace"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise click.ClickException(f"can't read {path}: {error.strerror}") from None
        if told is None and keep:
            raise click.ClickException(
                f"can't keep the settings of {path}: its first line does not tell them"
            )
        found |= told or {}
    return found


def _warn_of_lost(before: Mapping[str, str], wanted: Mapping[str, str], directory: Path) -> None:
    """Name the settings that were written over with their defaults, and the command that brings them back."""
    from exporter.mixin.rules import command

    lost = [f"{name}={value}" for name, value in before.items() if name not in wanted]
    if lost:
        again = f"{command({**before, **wanted})} {shlex.join(['--directory', str(directory)])}"
        click.echo(f"Warning: back at their defaults: {', '.join(lost)}. To keep them:\n  {again}", err=True)


def _listed() -> Iterator[str]:
    """Yield each setting as a line: its name, its default, what it says, and the alerts that it moves."""
    from exporter.mixin.rules import moved_by
    from exporter.mixin.settings import SETTINGS

    everything = moved_by("runbooks_url")
    width = max(len(setting.help) for setting in SETTINGS) + 2
    for setting in SETTINGS:
        moved = moved_by(setting.name)
        rest = [alert for alert in everything if alert not in moved]
        alerts = ", ".join(moved)
        if len(moved) > len(rest):
            alerts = f"all but {', '.join(rest)}" if rest else "all"
        yield f"{setting.name:<24}{setting.default:<36}{setting.help:<{width}}{alerts}"


def _named(given: tuple[str, ...]) -> Mapping[str, str]:
    """Read `NAME=VALUE`s; the last one of a name counts."""
    for one in given:
        if "=" not in one:
            raise click.BadParameter(f"{one!r} is not like NAME=VALUE", param_hint="--set")
    return {name: value for name, _, value in (one.partition("=") for one in given)}
