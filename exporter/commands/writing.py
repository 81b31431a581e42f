"""Files that a command writes: what comes with the exporter, for others to read."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def directory_option(tells: str) -> Callable[[F], F]:
    """Return the option that says where to write: `directory` is a path, or None.

    Args:
        tells: What `--help` says about it.
    """
    return click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help=tells)


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Write texts to a folder, which is made if need be, and tell their paths.

    Args:
        directory: The folder.
        files: The texts, by the names of their files.

    Raises:
        click.ClickException: one can't be written.
    """
    for name, text in files.items():
        path = directory / name
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"can't write to {directory}: {error.strerror}") from None
        click.echo(path)
