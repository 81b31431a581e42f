"""The command `check-config`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exporter.flags import config_option, shard_options, storage_option, web_options
from exporter.startup import ledger_url, the_shard

if TYPE_CHECKING:
    from exporter.commands.checking import Checked
    from exporter.guard.web_config import WebConfig
    from exporter.server.listen import Address

_ACCOUNTS: Final = ("LIVEPEER_API_KEY", "QENCODE_TASK_TOKENS")
"""The environment variables that make an account each."""


@click.command("check-config")
@config_option
@storage_option
@shard_options
@web_options
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check_config(
    config_file: Path | None,
    storage_path: str | None,
    shard: int | None,
    total_shards: int,
    web_config_file: Path | None,
    web_listen_address: Sequence["Address"] | None,
    file: Path | None,
    **_: Any,
) -> None:
    """Check a configuration.

    FILE can stand for --config.file. What --web.config.file names is checked along with it, or on its own.
    Other flags of `serve` are refused as it would refuse them, and so is a place where no ledger or no
    socket can be; nothing is written. Prints every mistake, and exits with 1 if there is one.
    """
    if file and config_file:
        raise click.UsageError("the file is named twice: by --config.file and as an argument")
    from exporter.commands.checking import check, check_addresses, check_ledger

    part = the_shard(shard, total_shards)
    found = [check_addresses(web_listen_address or ())]
    if file or config_file or not web_config_file or any(map(os.environ.get, _ACCOUNTS)):
        found.append(check(file or config_file, os.environ, part, ledger=storage_path is None))
    if storage_path is not None:
        found.append(check_ledger(ledger_url(storage_path), part))
    if web_config_file:
        found.append(_check_web(web_config_file))
    for line in (str(each) for one in found for each in (*one.mistakes, *one.notes)):
        click.echo(line, err=True)
    if any(one.mistakes for one in found):
        sys.exit(1)
    click.echo(f"OK: {', '.join(each for one in found for each in one.accounts)}")


def _check_web(path: Path) -> "Checked":
    from exporter.commands.checking import Checked
    from exporter.guard.web_config import WebConfigError, load_settled

    try:
        config, _ = load_settled(path)
    except WebConfigError as error:
        return Checked(error.mistakes)
    return Checked(accounts=[f"{path} ({_door(config)})"])


def _door(config: "WebConfig") -> str:
    """Say who is let in, and over what: an `OK` alone would not tell that a section is missing."""
    users = len(config.basic_auth_users)
    return (
        f"{'TLS' if config.tls_server_config else 'no TLS'}, {users or 'no'} user{'' if users == 1 else 's'}"
    )
