"""The flags, in the spelling of Prometheus' own exporters; environment variables can stand for them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class WebFlags:
    """What the flags that begin with `--web.` say."""

    web_listen_address: tuple[str, int]
    web_telemetry_path: str
    web_enable_lifecycle: bool
    web_enable_admin_api: bool


def _variable(flag: str) -> str:
    return "TRANSCODING_EXPORTER_" + flag.lstrip("-").replace(".", "_").replace("-", "_").upper()


def _option(flag: str, **attributes: Any) -> Callable[[F], F]:
    """Return a click option in Prometheus' spelling, that can be given by an environment variable too."""
    name = flag.lstrip("-").replace(".", "_").replace("-", "_")
    return click.option(flag, name, envvar=_variable(flag), show_envvar=True, show_default=True, **attributes)


def _together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return the options as one decorator; `--help` shows them in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _address(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, int]:
    from exporter.web.server import InvalidAddressError, parse_address

    try:
        return parse_address(text)
    except InvalidAddressError as error:
        raise click.BadParameter(str(error)) from None


def _path(_context: click.Context, _option: click.Parameter, text: str) -> str:
    from exporter.web.app import is_telemetry_path

    if not is_telemetry_path(text):
        raise click.BadParameter(f"{text!r} is not a path of its own; write one like /metrics")
    return text


def _ledger(_context: click.Context, _option: click.Parameter, path: str | None) -> str | None:
    if path and "?" in path:
        raise click.BadParameter(f"{path!r} can't hold a question mark: to SQLite, options follow it")
    return path


config_option = _option(
    "--config.file",
    type=click.Path(path_type=Path),
    help="Configuration file; without one, LIVEPEER_API_KEY and QENCODE_TASK_TOKENS make an account each.",
)

web_options = _together(
    _option(
        "--web.listen-address",
        default=":10477",
        callback=_address,
        metavar="ADDRESS",
        help="Where to serve: host:port or :port.",
    ),
    _option(
        "--web.telemetry-path",
        default="/metrics",
        callback=_path,
        metavar="PATH",
        help="Path under which the metrics are.",
    ),
    _option("--web.enable-lifecycle", is_flag=True, help="Allow POST /-/reload."),
    _option("--web.enable-admin-api", is_flag=True, help="Allow tokens to be given over HTTP."),
)

storage_option = _option(
    "--storage.path",
    callback=_ledger,
    metavar="PATH",
    help="The ledger's file, instead of the configuration's storage.url; empty: keep nothing.",
)

log_options = _together(
    _option(
        "--log.level",
        type=click.Choice(["debug", "info", "warn", "error"]),
        default="info",
        help="The least important event to log.",
    ),
    _option(
        "--log.format",
        type=click.Choice(["logfmt", "json"]),
        default="logfmt",
        help="How a log line is written.",
    ),
)
