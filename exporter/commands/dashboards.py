"""The command `dashboards`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from exporter.commands.writing import directory_option, write

DASHBOARDS: Final = ("transcoding-overview", "transcoding-task", "transcoding-exporter")
"""The names of the dashboards, each that of its file and its uid, in the order in which they lead on."""


@click.command()
@directory_option("Write the files there instead: all of them, or the one that is named.")
@click.argument("name", required=False, type=click.Choice(DASHBOARDS), metavar="[NAME]")
def dashboards(directory: Path | None, name: str | None) -> None:
    """Print a dashboard as JSON, or list them all.

    \b
    transcoding-exporter dashboards transcoding-overview > overview.json
    transcoding-exporter dashboards --directory /var/lib/grafana/dashboards
    """  # noqa: D301 - click wants the character
    texts = _texts((name,) if name else DASHBOARDS)
    if directory:
        write(directory, {f"{one}.json": text for one, text in texts.items()})
    elif name:
        click.echo(texts[name], nl=False)
    else:
        for one, text in texts.items():
            click.echo(f"{one:<24}{_description(text)}")


def _texts(names: tuple[str, ...]) -> Mapping[str, str]:
    from importlib.resources import files

    folder = files("exporter.mixin") / "dashboards"
    return {name: (folder / f"{name}.json").read_text(encoding="utf-8") for name in names}


def _description(text: str) -> str:
    import json

    description: str = json.loads(text)["description"]
    return description
