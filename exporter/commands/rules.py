"""The command `rules`."""

from collections.abc import Mapping
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
@click.option("--settings", is_flag=True, help="List the settings with their defaults instead.")
@directory_option("Write the rule files there instead of printing them as one.")
def rules(given: tuple[str, ...], settings: bool, directory: Path | None) -> None:
    """Print Prometheus' alerting and recording rules."""
    from exporter.mixin import rules as mixin
    from exporter.mixin.settings import SETTINGS, SettingError

    if settings:
        for setting in SETTINGS:
            click.echo(f"{setting.name:<24}{setting.default:<36}{setting.help}")
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


def _named(given: tuple[str, ...]) -> Mapping[str, str]:
    """Read `NAME=VALUE`s; the last one of a name counts."""
    for one in given:
        if "=" not in one:
            raise click.BadParameter(f"{one!r} is not like NAME=VALUE", param_hint="--set")
    return {name: value for name, _, value in (one.partition("=") for one in given)}
