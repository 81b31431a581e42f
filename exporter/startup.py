"""What the commands share: the configuration, the logs and the exporter, or why they can't be had."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exporter.assembly import Exporter
    from exporter.config import Config
    from exporter.model import Clock
    from exporter.sharding import Shard
    from exporter.tracking.database_error import DatabaseError


def set_up_logs(level: str, style: str) -> None:
    """Set up the logs of the process."""
    from exporter.logs import LogFormat, LogLevel, configure

    configure(LogLevel(level), LogFormat(style))


def load_config(path: Path | None) -> "Config":
    """Return the configuration of a file, or of the environment; end with 1 if it has mistakes."""
    from exporter.config import load

    return told(lambda: load(path, os.environ))


def told(read_config: Callable[[], "Config"]) -> "Config":
    """Return the configuration; tell its mistakes, and end with 1, if there are any."""
    from exporter.config import ConfigError

    try:
        return read_config()
    except ConfigError as error:
        for mistake in error.mistakes:
            click.echo(str(mistake), err=True)
        sys.exit(1)


def stored(config: "Config", path: str | None) -> "Config":
    """Return the configuration with the ledger in another file; with none if the path is empty."""
    if path is None:
        return config
    return replace(config, storage=replace(config.storage, url=ledger_url(path)))


def ledger_url(path: str) -> str:
    """Return what `--storage.path` means as a URL."""
    return f"sqlite:///{path}" if path else "memory://"


def the_shard(number: int | None, total: int) -> "Shard":
    """Return which of the exporters this is that share the tasks; end with 2 if that can't be told."""
    from exporter.sharding import Shard

    if number is None and total > 1:
        # All would take themselves for the first, and watch the same part.
        words = f"which of the {total} is this? Give its number, 0 to {total - 1}"
        raise click.BadParameter(words, param_hint="--shard")
    try:
        return Shard(number or 0, total)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--shard") from None


def make_exporter(config: "Config", clock: "Clock | None" = None, shard: "Shard | None" = None) -> "Exporter":
    """Return an exporter; end with 1, and say why, if its ledger can't be used."""
    from exporter.assembly import Exporter
    from exporter.sharding import ALONE
    from exporter.tracking.database_error import DatabaseError

    try:
        exporter = Exporter(config, clock=clock, shard=shard or ALONE)
    except DatabaseError as error:
        raise _unusable(error) from None
    _warn_of_clear_text(config)
    return exporter


def _unusable(error: "DatabaseError") -> click.ClickException:
    """Return what is told of a ledger that can't be used: why, and then what can be done, each once."""
    from exporter.ledger_file import UnusableError
    from exporter.tracking.database_error import NewerSchemaError

    problem, remedy = str(error), "mend it"
    if isinstance(error, UnusableError):
        problem, remedy = error.obstacle.problem, error.obstacle.remedy
    elif isinstance(error, NewerSchemaError):
        # It tells itself which exporter could use it.
        remedy = ""
    ways = [remedy] * bool(remedy) + ["name another with --storage.path=FILE"]
    return click.ClickException(
        f"the ledger can't be used: {problem}\n{', '.join(ways)}, or keep nothing with --storage.path="
    )


def _warn_of_clear_text(config: "Config") -> None:
    import structlog

    from exporter.config_values import in_clear

    for account in config.qencode:
        for key in ("base_url", "task_tokens_http"):
            if in_clear(getattr(account, key) or ""):
                structlog.get_logger().warning(
                    "tokens travel in clear text; use https", account=f"qencode/{account.name}", key=key
                )
