"""Runs an exporter behind its web server, until a signal ends it."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

import click
import structlog

from exporter import __version__
from exporter.assembly import Exporter
from exporter.config import Config, ConfigError
from exporter.flags import WebFlags
from exporter.guard.guard import Guard
from exporter.reporter import Reporter
from exporter.server import systemd
from exporter.server.http_server import HttpServer, create_server
from exporter.server.listen import ListenError
from exporter.signals import Signals
from exporter.token_desk import TokenDesk
from exporter.tracking.database_error import DatabaseError
from exporter.web.admin import Reload
from exporter.web.app import Site, create_app

_PATIENCE: Final = 3.0
"""Seconds in which scrapes may still wait for their providers once we are told to stop."""

_GRACE: Final = 4.5
"""Seconds until the end of the process, whatever then is still under way."""

_log = structlog.get_logger()

ReadConfig = Callable[[], Config]
"""Reads the configuration anew; raises `ConfigError`."""


def serve(exporter: Exporter, flags: WebFlags, read_config: ReadConfig | None, banner: str = "") -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the configuration anew, if that can be done.

    Args:
        exporter: What is served; it is closed at the end.
        flags: How.
        read_config: Reads the configuration anew; None if it comes from nowhere.
        banner: Lines for a person, shown once the addresses are bound.

    Raises:
        click.ClickException: an address can't be listened on, or the web configuration has a mistake.
    """
    signals = Signals()
    reloader = Reloader(exporter, read_config) if read_config else None
    try:
        server = _server(exporter, flags, reloader)
    except ConfigError as error:
        exporter.close()
        for mistake in error.mistakes:
            click.echo(str(mistake), err=True)
        sys.exit(1)
    except ListenError as error:
        exporter.close()
        raise click.ClickException(str(error)) from None
    # What is there to stay is left alone by the garbage collector; the modules are most of all objects.
    gc.freeze()
    server.start()
    _greet(exporter, server, flags, banner)
    systemd.notify("READY=1")
    while signals.wait() == signal.SIGHUP:
        if reloader:
            reloader.reload()
    # Who asks a second time does not want to wait.
    signals.end_at_the_next()
    _stop(exporter, server)


def _server(exporter: Exporter, flags: WebFlags, reloader: "Reloader | None") -> HttpServer:
    guard = Guard(flags.web_config_file, tell=exporter.telemetry.web_configured)
    site = Site(
        exporter.exposition.render,
        exporter.refresh,
        Reporter(exporter),
        telemetry_path=flags.web_telemetry_path,
        reload=_reload_over_http(reloader, flags),
        tokens=TokenDesk(exporter) if flags.web_enable_admin_api else None,
        grafana_url=flags.web_grafana_url,
        location=flags.location,
    )
    return create_server(create_app(site), *flags.web_listen_address, gate=guard, location=flags.location)


def _stop(exporter: Exporter, server: HttpServer) -> None:
    """End, after what is under way if that does not take too long."""
    _log.info("stopping")
    systemd.notify("STOPPING=1")
    _end_after(_GRACE)
    ended = server.leave(_PATIENCE)
    # Scrapes that still wait for a provider are now answered with what is known.
    exporter.close()
    if not ended:
        server.leave(_GRACE)


def _reload_over_http(reloader: "Reloader | None", flags: WebFlags) -> Reload | None:
    if not flags.web_enable_lifecycle:
        return None
    # What is read from nowhere, as in the demo, is what it was.
    return reloader.reload if reloader else lambda: ()


class Reloader:
    """Reads the configuration anew, one reading at a time."""

    def __init__(self, exporter: Exporter, read_config: ReadConfig) -> None:
        self._exporter = exporter
        self._read_config = read_config
        self._lock = threading.Lock()

    def reload(self) -> Sequence[str]:
        """Put the configuration into force; return its mistakes, for which the one before stays."""
        with self._lock, systemd.reloading():
            try:
                self._exporter.reconfigure(self._read_config())
            except ConfigError as error:
                mistakes = [str(mistake) for mistake in error.mistakes]
            except DatabaseError as error:
                mistakes = [str(error)]
            except Exception:  # noqa: BLE001 - it must not take down what works
                _log.exception("reload ended by a bug, please report it")
                mistakes = ["the exporter has a bug; its log says more"]
            else:
                _log.info("configuration reloaded", accounts=_names(self._exporter))
                return ()
            self._exporter.telemetry.misconfigured()
            for mistake in mistakes:
                _log.error("configuration not reloaded, the one before stays", mistake=mistake)
            return mistakes


def _names(exporter: Exporter) -> str:
    return " ".join(map(str, exporter.accounts))


def _greet(exporter: Exporter, server: HttpServer, flags: WebFlags, banner: str) -> None:
    location, path = flags.location, flags.web_telemetry_path
    # What has no URL of its own can be reached through a proxy only.
    urls = [url if url.startswith("unix:") else f"{url}{location.prefix}" for url in server.urls]
    base = location.url or urls[0]
    # For people only: what gathers a container's logs wants one format on both streams.
    if banner or sys.stdout.isatty():
        click.echo(f"Open {base}/ (metrics: {base}{path}); Ctrl-C stops.")
    if banner:
        click.echo(banner)
    more = {} if exporter.shard.alone else {"shard": f"{exporter.shard} (counted from 0)"}
    more |= {"external_url": location.url} if location.url else {}
    for url in urls:
        served = url if url.startswith("unix:") else f"{url}{path}"
        _log.info("listening", version=__version__, url=served, accounts=_names(exporter), **more)


def _end_after(seconds: float) -> None:
    """End the process, even if a scrape still waits for a provider that hangs: it may do so for a minute."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
