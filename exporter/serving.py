"""Runs an exporter behind its web server, until a signal ends it."""

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import click
import structlog

from exporter import __version__
from exporter.assembly import Exporter, UnknownAccountError
from exporter.config import Config, ConfigError
from exporter.flags import WebFlags
from exporter.model import Account, Provider
from exporter.tracking.database_error import DatabaseError
from exporter.tracking.ledger import GivenToken
from exporter.tracking.tokens import is_token, label_mistake
from exporter.web.admin import RefusedError, Reload, Shown
from exporter.web.app import Site, create_app
from exporter.web.server import ListenError, create_server

_GRACE: Final = 4.0
"""Seconds that requests have to come to their end once we are told to stop."""

_NOT_GIVEN: Final = "no such token was given over this API"

_log = structlog.get_logger()

ReadConfig = Callable[[], Config]
"""Reads the configuration anew; raises `ConfigError`."""


def serve(exporter: Exporter, flags: WebFlags, read_config: ReadConfig | None, banner: str = "") -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the configuration anew, if that can be done.

    Args:
        exporter: What is served; it is closed at the end.
        flags: How.
        read_config: Reads the configuration anew; None if it comes from nowhere.
        banner: Lines for a person, shown once the address is bound.

    Raises:
        click.ClickException: the address can't be listened on.
    """
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: signals.put(number))
    reloader = Reloader(exporter, read_config) if read_config else None
    site = Site(
        exporter.registry,
        exporter.refresh,
        lambda: exporter.accounts,
        telemetry_path=flags.web_telemetry_path,
        reload=_reload_over_http(reloader, flags),
        tokens=TokenDesk(exporter) if flags.web_enable_admin_api else None,
    )
    try:
        server = create_server(create_app(site), flags.web_listen_address)
    except ListenError as error:
        exporter.close()
        raise click.ClickException(str(error)) from None
    threading.Thread(target=server.serve, name="server", daemon=True).start()
    _greet(exporter, server.bind_addr, flags.web_telemetry_path, banner)
    while signals.get() == signal.SIGHUP:
        if reloader:
            reloader.reload()
    _log.info("stopping")
    _end_after(_GRACE)
    exporter.close()
    server.stop()


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
        with self._lock:
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


class TokenDesk:
    """Hands the tokens that come over HTTP to the exporter, and shows them as they may be shown."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def give(self, account: str, token: str, labels: Mapping[str, str]) -> tuple[bool, Shown]:
        """Watch a token; return whether it is new, and what may be shown of it."""
        if not is_token(token):
            raise RefusedError(400, "not a token: at most 256 printable ASCII characters, no blank, no comma")
        if mistake := label_mistake(labels):
            raise RefusedError(400, mistake)
        with _refusals():
            new = self._exporter.give_token(_account(account), token, labels)
        return new, self.show(account, token)

    def take(self, account: str, token: str) -> None:
        """Watch a token no longer."""
        with _refusals():
            if not self._exporter.take_token(_account(account), token):
                raise RefusedError(404, _NOT_GIVEN)

    def show(self, account: str, token: str) -> Shown:
        """Return what may be shown of a token."""
        with _refusals():
            given = self._exporter.given_tokens(_account(account)).get(token)
        if given is None:
            raise RefusedError(404, _NOT_GIVEN)
        return self._shown(token, given)

    def list(self, account: str) -> Sequence[Shown]:
        """Return what may be shown of every token."""
        with _refusals():
            given = self._exporter.given_tokens(_account(account))
        return [self._shown(token, one) for token, one in given.items()]

    def _shown(self, token: str, given: GivenToken) -> Shown:
        name = self._exporter.label(Provider.QENCODE, token)
        return {"task": name, "labels": given.labels, "added": given.added}


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except UnknownAccountError as error:
        raise RefusedError(404, str(error)) from None
    except DatabaseError as error:
        raise RefusedError(503, f"it can't be remembered: {error}") from None


def _account(name: str) -> Account:
    return Account(Provider.QENCODE, name)


def _names(exporter: Exporter) -> str:
    return " ".join(map(str, exporter.accounts))


def _greet(exporter: Exporter, bound: tuple[str, int], telemetry_path: str, banner: str) -> None:
    base = f"http://{_reachable(bound)}"
    # For people only: what gathers a container's logs wants one format on both streams.
    if banner or sys.stdout.isatty():
        click.echo(f"Open {base}/ (metrics: {base}{telemetry_path}); Ctrl-C stops.")
    if banner:
        click.echo(banner)
    _log.info("listening", version=__version__, url=f"{base}{telemetry_path}", accounts=_names(exporter))


def _reachable(bound: tuple[str, int]) -> str:
    """Return the address as a person on this machine would type it."""
    host, port = bound[:2]
    if host in ("::", "0.0.0.0"):  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _end_after(seconds: float) -> None:
    """End the process, even if a scrape still waits for a provider that hangs: it may do so for a minute."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
