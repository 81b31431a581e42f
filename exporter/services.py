"""Makes each configured account a service that can be polled."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from exporter.config import (
    Config,
    LivepeerConfig,
    LivepeerTaskType,
    PollConfig,
    QencodeConfig,
    ShardBy,
)
from exporter.metrics.telemetry import Telemetry
from exporter.model import TASK_TYPES, Account, Clock, Endpoint, Provider
from exporter.providers.livepeer import Livepeer
from exporter.providers.qencode import Qencode
from exporter.providers.qencode_roster import Roster
from exporter.providers.service import ApiError, Service
from exporter.providers.transport import Transport
from exporter.sharding import Shard, Share, token_key
from exporter.tracking.past import NO_PAST
from exporter.tracking.token_labels import Labels
from exporter.tracking.tokens import (
    FileSource,
    FixedSource,
    GivenSource,
    HttpSource,
    Source,
    SourceError,
    Tokens,
)

AccountConfig = QencodeConfig | LivepeerConfig


class Services:
    """A factory of services; it knows since when the tokens of Qencode's accounts have been watched."""

    def __init__(
        self,
        clock: Clock,
        telemetry: Telemetry,
        *,
        label: Callable[[Provider, str], str],
        given: Callable[[Account], Mapping[str, Labels]],
        shard: Shard,
    ) -> None:
        """Make nothing yet.

        Args:
            clock: For all of them.
            telemetry: Where they tell how asking went.
            label: What people may see of a task's id.
            given: Returns the tokens that were given to an account by our API.
            shard: Which of the exporters this is that share the tasks.
        """
        self._clock = clock
        self._telemetry = telemetry
        self._label = label
        self._given = given
        self._shard = shard
        self._watched: dict[Account, tuple[Tokens, Roster]] = {}

    def create(self, config: AccountConfig, poll: PollConfig, *, keep: float, begun: float) -> Service:
        """Make the service of an account, which goes on where the one before it, if there was one, has ended.

        Args:
            config: The account.
            poll: How it is asked.
            keep: Seconds for which an ended task is remembered.
            begun: When its new tokens begin to be watched (steady seconds), before its knowledge was opened:
                a token that had ended by then is history.
        """
        if isinstance(config, QencodeConfig):
            return self._qencode(config, poll, begun)
        return self._livepeer(config, poll, keep)

    def forget(self, account: Account) -> None:
        """Note that an account is no longer watched."""
        self._watched.pop(account, None)

    def _qencode(self, config: QencodeConfig, poll: PollConfig, begun: float) -> Service:
        account = account_of(config)
        before = self._watched.get(account)
        tokens = Tokens(
            account,
            self._sources(account, config, poll),
            self._clock,
            begun,
            owns=lambda token: self._shard.owns(token_key(account, token)),
            past=before[0].past if before else NO_PAST,
        )
        roster = Roster(before[1].left if before else {})
        self._watched[account] = tokens, roster
        return Qencode(
            account,
            tokens=tokens,
            roster=roster,
            transport=self._transport(account, poll),
            telemetry=self._telemetry,
            clock=self._clock,
            timeout=poll.timeout,
            concurrency=poll.concurrency,
            retention=poll.retention,
            base_url=config.base_url,
            allowed_hosts=config.allowed_hosts,
            label=lambda token: self._label(Provider.QENCODE, token),
        )

    def _sources(self, account: Account, config: QencodeConfig, poll: PollConfig) -> Iterator[Source]:
        if config.task_tokens:
            yield FixedSource(config.task_tokens)
        if config.task_tokens_file:
            yield FileSource(config.task_tokens_file)
        if config.task_tokens_http:
            yield HttpSource(self._discovery(account, config.task_tokens_http, poll), self._clock)
        yield GivenSource(lambda: self._given(account))

    def _discovery(self, account: Account, url: str, poll: PollConfig) -> Callable[[], bytes]:
        # Connections of its own: when the discovery asks for a pause, Qencode does not. And a quarter of the
        # time, so that one that hangs leaves the scrape enough to ask Qencode.
        transport = self._transport(account, poll, timeout=poll.timeout / 4)

        def fetch() -> bytes:
            try:
                return transport.get(Endpoint.QENCODE_TOKENS, url).body
            except ApiError as error:
                raise SourceError(str(error)) from None

        return fetch

    def _livepeer(self, config: LivepeerConfig, poll: PollConfig, keep: float) -> Service:
        account = account_of(config)
        return Livepeer(
            account,
            transport=self._transport(account, poll, api_key=config.api_key.reveal()),
            clock=self._clock,
            concurrency=poll.concurrency,
            keep=max(keep, poll.retention),
            base_url=config.base_url,
            task_types=watched_types(config, self._shard),
            lookback=config.lookback,
        )

    def _transport(
        self, account: Account, poll: PollConfig, *, timeout: float | None = None, api_key: str = ""
    ) -> Transport:
        return Transport(
            account,
            timeout=timeout or poll.timeout,
            concurrency=poll.concurrency,
            clock=self._clock,
            telemetry=self._telemetry,
            api_key=api_key,
        )


def account_of(config: AccountConfig) -> Account:
    """Return the account that a section of the configuration is about."""
    provider = Provider.QENCODE if isinstance(config, QencodeConfig) else Provider.LIVEPEER
    return Account(provider, config.name)


def share_of(config: AccountConfig, shard: Shard) -> Share:
    """Return the part of an account that a shard watches."""
    by_type = isinstance(config, LivepeerConfig) and config.shard_by is ShardBy.TASK_TYPE
    return Share(account_of(config), shard, by_type=by_type)


def watched_types(config: LivepeerConfig, shard: Shard) -> Collection[str]:
    """Return the task types that a shard watches of an account that it has a part of; empty: all."""
    return () if _types(config, shard) == set(TASK_TYPES[Provider.LIVEPEER]) else _types(config, shard)


def sharded(config: Config, shard: Shard) -> Config:
    """Return a configuration without the accounts of which a shard watches nothing.

    Those of Qencode stay: their tokens may come at any time, and belong to any shard.
    """
    return replace(config, livepeer=tuple(one for one in config.livepeer if _types(one, shard)))


def _types(config: LivepeerConfig, shard: Shard) -> frozenset[str]:
    # All types means those too that Livepeer has yet to invent.
    every = set(config.task_types) == set(LivepeerTaskType)
    wanted = TASK_TYPES[Provider.LIVEPEER] if every else config.task_types
    return share_of(config, shard).types & frozenset(wanted)
