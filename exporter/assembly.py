"""Puts the parts together: a configuration becomes accounts, a poller and a registry."""

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

from exporter.config import Config, LivepeerConfig, LivepeerTaskType, QencodeConfig, TaskLabel
from exporter.metrics import families
from exporter.metrics.collector import TaskCollector, View
from exporter.metrics.telemetry import Telemetry
from exporter.model import Account, Clock, Endpoint, Provider
from exporter.poller import AccountPoller, Poller
from exporter.providers.livepeer import Livepeer
from exporter.providers.qencode import Qencode
from exporter.providers.service import ApiError, Service
from exporter.providers.transport import Transport
from exporter.tracking.knowledge import Snapshot
from exporter.tracking.ledger import Ledger, MemoryLedger
from exporter.tracking.tokens import FileSource, FixedSource, HttpSource, Source, SourceError, Tokens

HASH_LENGTH: Final = 12
"""Hexadecimal digits of a token's SHA-256 that are shown with `task_label: hash`."""


class SystemClock:
    """The machine's clocks."""

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never step."""
        return time.monotonic()


class Exporter:
    """Everything between a configuration and the text of a scrape."""

    def __init__(self, config: Config, *, clock: Clock | None = None, ledger: Ledger | None = None) -> None:
        """Ask nothing yet; the first `refresh` does."""
        # Prometheus' text format has no room for them: they would show as families of their own.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._config = config
        self._clock = clock or SystemClock()
        self._ledger = ledger or MemoryLedger()
        self.registry = CollectorRegistry()
        self._telemetry = Telemetry(self.registry)
        self._poller = Poller([self._watch(service) for service in self._services()], self._clock)
        view = View(config.metrics.per_task, config.metrics.max_task_series, self._label)
        self.registry.register(TaskCollector(self._snapshots, view))
        ProcessCollector(registry=self.registry)
        self._telemetry.configured(at=self._clock.time())

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Every account that is watched."""
        return tuple(account.account for account in self._poller.accounts)

    def refresh(self, timeout: float) -> None:
        """Poll what is due, for at most `timeout` seconds."""
        self._poller.refresh(timeout)

    def is_up(self, account: Account) -> bool:
        """Whether the last poll of an account worked."""
        labels = dict(zip(families.UP.labels, account, strict=True))
        return self.registry.get_sample_value(families.UP.name, labels) == 1

    def close(self) -> None:
        """Close all connections."""
        self._poller.close()

    def _watch(self, service: Service) -> AccountPoller:
        self._telemetry.watch(service.account)
        return AccountPoller(
            service,
            self._ledger.recall(service.account, self._clock.time()),
            self._ledger,
            clock=self._clock,
            telemetry=self._telemetry,
            min_interval=self._config.poll.min_poll_interval,
        )

    def _services(self) -> Iterator[Service]:
        yield from map(self._qencode, self._config.qencode)
        yield from map(self._livepeer, self._config.livepeer)

    def _qencode(self, config: QencodeConfig) -> Qencode:
        account = Account(Provider.QENCODE, config.name)
        return Qencode(
            account,
            tokens=Tokens(account, self._sources(account, config), self._clock),
            transport=self._transport(account),
            telemetry=self._telemetry,
            clock=self._clock,
            timeout=self._config.poll.timeout,
            concurrency=self._config.poll.concurrency,
            retention=self._config.poll.retention,
            base_url=config.base_url,
            allowed_hosts=config.allowed_hosts,
            label=lambda token: self._label(Provider.QENCODE, token),
        )

    def _sources(self, account: Account, config: QencodeConfig) -> Iterator[Source]:
        if config.task_tokens:
            yield FixedSource(config.task_tokens)
        if config.task_tokens_file:
            yield FileSource(config.task_tokens_file)
        if config.task_tokens_http:
            yield HttpSource(self._discovery(account, config.task_tokens_http), self._clock)

    def _discovery(self, account: Account, url: str) -> Callable[[], bytes]:
        # Connections of its own: when the discovery asks for a pause, Qencode does not.
        transport = self._transport(account)

        def fetch() -> bytes:
            try:
                return transport.get(Endpoint.QENCODE_TOKENS, url).body
            except ApiError as error:
                raise SourceError(str(error)) from None

        return fetch

    def _livepeer(self, config: LivepeerConfig) -> Livepeer:
        account = Account(Provider.LIVEPEER, config.name)
        every_type = set(config.task_types) == set(LivepeerTaskType)
        return Livepeer(
            account,
            transport=self._transport(account, config.api_key.reveal()),
            clock=self._clock,
            concurrency=self._config.poll.concurrency,
            retention=self._config.poll.retention,
            base_url=config.base_url,
            # All types means those too that Livepeer has yet to invent.
            task_types=() if every_type else config.task_types,
            lookback=config.lookback,
        )

    def _transport(self, account: Account, api_key: str = "") -> Transport:
        return Transport(
            account,
            timeout=self._config.poll.timeout,
            concurrency=self._config.poll.concurrency,
            clock=self._clock,
            telemetry=self._telemetry,
            api_key=api_key,
        )

    def _snapshots(self) -> Iterator[Snapshot]:
        for account in self._poller.accounts:
            yield account.knowledge.snapshot(self._clock.time(), self._config.poll.retention)

    def _label(self, provider: Provider, task: str) -> str:
        """Return what people may see of a task's id; a Qencode token is a capability as well."""
        if provider is Provider.QENCODE and self._config.metrics.task_label is TaskLabel.HASH:
            return hashlib.sha256(task.encode()).hexdigest()[:HASH_LENGTH]
        return task
