"""The commands. What only one of them needs is imported by that one, so that `--help` is quick."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exporter import __version__

if TYPE_CHECKING:
    from exporter.assembly import Exporter
    from exporter.config import Config

F = TypeVar("F", bound=Callable[..., Any])

_GRACE = 4.0
"""Seconds that requests have to come to their end once we are told to stop."""


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


_config_option = _option(
    "--config.file",
    type=click.Path(path_type=Path),
    help="Configuration file; without one, LIVEPEER_API_KEY and QENCODE_TASK_TOKENS make an account each.",
)

_web_options = _together(
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
)

_log_options = _together(
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="transcoding-exporter")
def main() -> None:
    """Prometheus exporter for cloud transcoding: Qencode and Livepeer Studio."""


@main.command()
@_config_option
@_web_options
@_log_options
def serve(
    config_file: Path | None,
    web_listen_address: tuple[str, int],
    web_telemetry_path: str,
    log_level: str,
    log_format: str,
) -> None:
    """Serve the metrics until told to stop."""
    _set_up_logs(log_level, log_format)
    config = _load(config_file)
    from exporter.assembly import Exporter

    _serve(Exporter(config), web_listen_address, web_telemetry_path)


@main.command()
@_config_option
@_log_options
@click.option(
    "--timeout",
    type=click.FloatRange(0, 3600),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the providers.",
)
@click.option("--openmetrics", is_flag=True, help="Print OpenMetrics instead of Prometheus' text format.")
def scrape(
    config_file: Path | None, log_level: str, log_format: str, timeout: float, openmetrics: bool
) -> None:
    """Poll every account once and print the metrics.

    Exits with 1 if an account is down.
    """
    _set_up_logs(log_level, log_format)
    config = _load(config_file)
    from prometheus_client.exposition import choose_encoder

    from exporter.assembly import Exporter

    exporter = Exporter(config)
    exporter.refresh(timeout)
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0" if openmetrics else "")
    click.echo(encode(exporter.registry), nl=False)
    exporter.close()
    if not all(map(exporter.is_up, exporter.accounts)):
        sys.exit(1)


@main.command("check-config")
@_config_option
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check_config(config_file: Path | None, file: Path | None) -> None:
    """Check a configuration.

    Prints every mistake, and exits with 1 if there is one.
    """
    config = _load(file or config_file)
    accounts = [f"qencode/{account.name}" for account in config.qencode]
    accounts += [f"livepeer/{account.name}" for account in config.livepeer]
    click.echo(f"OK: {', '.join(accounts)}")


@main.command()
@_web_options
@_log_options
@click.option(
    "--seed", default=1, show_default=True, help="Which simulated world: the same seed, the same tasks."
)
@click.option(
    "--speed",
    type=click.FloatRange(0, 1000),
    default=1.0,
    show_default=True,
    help="How many times faster than real its time passes.",
)
@click.option(
    "--mood",
    type=click.Choice(["healthy", "ordinary", "failing"]),
    default="ordinary",
    show_default=True,
    help="What kind of day the simulated services have.",
)
def demo(
    web_listen_address: tuple[str, int],
    web_telemetry_path: str,
    log_level: str,
    log_format: str,
    seed: int,
    speed: float,
    mood: str,
) -> None:
    """Serve the metrics of simulated services: no account needed."""
    _set_up_logs(log_level, log_format)
    from exporter.assembly import Exporter
    from exporter.demo import Mood, simulation

    with simulation(seed=seed, speed=speed, mood=Mood(mood)) as world:
        click.echo(
            "Demo: simulated services, no account needed."
            f"\n  Qencode   {world.simulator.qencode_url}/v1/status"
            f"\n  Livepeer  {world.simulator.livepeer_url}/task  (API key: {world.simulator.livepeer_key})"
        )
        _serve(Exporter(world.config, clock=world.clock), web_listen_address, web_telemetry_path)


def _serve(exporter: "Exporter", address: tuple[str, int], telemetry_path: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    import structlog

    from exporter.web.app import Site, create_app
    from exporter.web.server import ListenError, create_server

    log = structlog.get_logger()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    site = Site(exporter.registry, exporter.refresh, exporter.accounts, telemetry_path)
    try:
        server = create_server(create_app(site), address)
    except ListenError as error:
        raise click.ClickException(str(error)) from None
    threading.Thread(target=server.serve, name="server", daemon=True).start()
    base = f"http://{_reachable(server.bind_addr)}"
    # For people only: what gathers a container's logs wants one format on both streams.
    if sys.stdout.isatty():
        click.echo(f"Open {base}/ or {base}{telemetry_path}; Ctrl-C stops.")
    accounts = " ".join(map(str, exporter.accounts))
    log.info("listening", version=__version__, url=f"{base}{telemetry_path}", accounts=accounts)
    stop.wait()
    log.info("stopping")
    _end_after(_GRACE)
    exporter.close()
    server.stop()


def _end_after(seconds: float) -> None:
    """End the process, even if a scrape still waits for a provider that hangs: it may do so for a minute."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _reachable(bound: tuple[str, int]) -> str:
    """Return the address as a person on this machine would type it."""
    host, port = bound[:2]
    if host in ("::", "0.0.0.0"):  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _set_up_logs(level: str, style: str) -> None:
    from exporter.logs import LogFormat, LogLevel, configure

    configure(LogLevel(level), LogFormat(style))


def _load(path: Path | None) -> "Config":
    from exporter.config import ConfigError, load

    try:
        return load(path, os.environ)
    except ConfigError as error:
        for mistake in error.mistakes:
            click.echo(str(mistake), err=True)
        sys.exit(1)
