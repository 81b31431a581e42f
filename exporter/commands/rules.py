"""The command `rules`."""

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
def rules(given: tuple[str, ...], settings: bool, directory: Path | None) -> None:
    """Print Prometheus' alerting and recording rules."""
    from exporter.mixin import rules as mixin
    from exporter.mixin.settings import SettingError

    if settings:
        click.echo("\n".join(_listed()))
        return
    try:
        wanted = _named(given)
        if directory is None:
            click.echo(mixin.rules(wanted), nl=False)
            return
        files = mixin.rule_files(wanted)
    except SettingError as error:
        raise click.BadParameter(str(error), param_hint="--set") from None
    write(directory, files)


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
