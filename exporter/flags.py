"""The flags, in the spelling of Prometheus' own exporters; environment variables can stand for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from exporter.server.listen import Address
    from exporter.server.location import Location

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class WebFlags:
    """What the flags that begin with `--web.` say."""

    web_listen_address: Sequence["Address"]
    web_config_file: Path | None
    web_telemetry_path: str
    web_external_url: str | None
    web_route_prefix: str | None
    web_grafana_url: str
    web_enable_lifecycle: bool
    web_enable_admin_api: bool

    @property
    def location(self) -> "Location":
        """Where the pages are."""
        from exporter.server.location import locate

        return locate(self.web_external_url, self.web_route_prefix)


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


def _addresses(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> Sequence["Address"]:
    from exporter.server.listen import InvalidAddressError, parse_addresses

    try:
        return parse_addresses(texts)
    except InvalidAddressError as error:
        raise click.BadParameter(str(error)) from None


def _located(_context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    from exporter.server.location import InvalidLocationError, locate

    try:
        locate(**{str(option.name).removeprefix("web_"): text})
    except InvalidLocationError as error:
        raise click.BadParameter(str(error)) from None
    return text


def _url(_context: click.Context, _option: click.Parameter, text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise click.BadParameter(f"{text!r} is not a URL; write one like https://grafana.example.com")
    return text


def _path(_context: click.Context, _option: click.Parameter, text: str) -> str:
    from exporter.web.app import is_telemetry_path

    if not is_telemetry_path(text):
        raise click.BadParameter(f"{text!r} is not a path of its own; write one like /metrics")
    return text


def _ledger(_context: click.Context, _option: click.Parameter, path: str | None) -> str | None:
    if path and "?" in path:
        raise click.BadParameter(f"{path!r} can't hold a question mark: to SQLite, options follow it")
    if path and path.endswith("/"):
        raise click.BadParameter(f"{path!r} is the path of a folder; name a file in it, like {path}ledger.db")
    return path


config_option = _option(
    "--config.file",
    type=click.Path(path_type=Path),
    help="Configuration file; without one, LIVEPEER_API_KEY and QENCODE_TASK_TOKENS make an account each.",
)

web_config_option = _option(
    "--web.config.file",
    type=click.Path(path_type=Path),
    help="File that asks for TLS, users and headers, in the format of Prometheus' exporters.",
)

web_options = _together(
    _option(
        "--web.listen-address",
        multiple=True,
        default=(":10477",),
        callback=_addresses,
        metavar="ADDRESS",
        help="Where to serve: host:port, :port or unix:/path; can be given several times.",
    ),
    web_config_option,
    _option(
        "--web.telemetry-path",
        default="/metrics",
        callback=_path,
        metavar="PATH",
        help="Path under which the metrics are.",
    ),
    _option(
        "--web.external-url",
        callback=_located,
        metavar="URL",
        help="URL under which people reach it, if that is through a proxy; links have its path.",
    ),
    _option(
        "--web.route-prefix",
        callback=_located,
        metavar="PATH",
        help="What the path of each request begins with; by default the path of --web.external-url.",
    ),
    _option(
        "--web.grafana-url",
        default="",
        callback=_url,
        metavar="URL",
        help="Where the dashboards are: the tasks of the status page link to them.",
    ),
    _option("--web.enable-lifecycle", is_flag=True, help="Allow POST /-/reload."),
    _option("--web.enable-admin-api", is_flag=True, help="Allow tokens to be given over HTTP."),
)

shard_options = _together(
    _option(
        "--shard",
        type=int,
        metavar="K",
        help="Which of the exporters that share the tasks this is, from 0; needed with --total-shards.",
    ),
    _option("--total-shards", type=int, default=1, metavar="N", help="How many exporters share the tasks."),
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
