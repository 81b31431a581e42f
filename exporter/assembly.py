"""Puts the parts together: a configuration becomes accounts, a poller and a registry, and may change."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

from exporter.clock import SystemClock
from exporter.config import Config, PollConfig, ShardBy
from exporter.metrics import families
from exporter.metrics.collector import TaskCollector
from exporter.metrics.exposition import Exposition
from exporter.metrics.telemetry import Telemetry
from exporter.metrics.view import Picture
from exporter.model import Account, Clock, Provider
from exporter.poller import AccountPoller, Poller
from exporter.report.board import Board
from exporter.report.words import part
from exporter.services import AccountConfig, Services, account_of, sharded, share_of
from exporter.sharding import ALONE, Shard, owner, token_key
from exporter.storage import open_ledger
from exporter.tracking.knowledge import Knowledge
from exporter.tracking.ledger import GivenToken, Terms
from exporter.tracking.tally import Buckets
from exporter.tracking.token_labels import Labels
from exporter.viewing import view_of

CLOCK_STEP: Final = 1.0
"""Seconds by which the machine's clock must have moved before dates follow it."""

_log = structlog.get_logger()


class UnknownAccountError(LookupError):
    """No account of that name is configured."""


class OtherShardError(Exception):
    """What was given belongs to another shard."""

    def __init__(self, number: int, total: int) -> None:
        super().__init__(f"it belongs to shard {number} of {total}: give it to that one")


@dataclass(frozen=True, slots=True)
class _Settings:
    """All that a service is made of: only a change in here calls for a new one."""

    account: AccountConfig
    poll: PollConfig
    keep: float


class Exporter:
    """Everything between a configuration and the text of a scrape. Safe for several threads."""

    def __init__(self, config: Config, *, clock: Clock | None = None, shard: Shard = ALONE) -> None:
        """Ask nothing yet; the first `refresh` does.

        Args:
            config: What to watch, and how.
            clock: The machine's if None.
            shard: Which of the exporters this is that share the accounts and tasks.

        Raises:
            DatabaseError: the ledger can't be opened.
        """
        # Prometheus' text format has no room for them: they would show as families of their own.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._started = config
        self._clock = clock or SystemClock()
        self._asking = CollectorRegistry()
        self.telemetry = Telemetry(self._asking, shard=shard.number, total_shards=shard.total)
        ProcessCollector(registry=self._asking)
        self.shard = shard
        self._shard_by: dict[str, ShardBy] = {}
        self._ledger, self._claim = open_ledger(config.storage.url, self._clock, self.telemetry, shard)
        metrics = config.metrics
        self._buckets = Buckets(metrics.duration_buckets, metrics.phase_duration_buckets)
        self._services = Services(
            self._clock, self.telemetry, label=self.label, given=self._given_labels, shard=shard
        )
        self._poller = Poller(self._clock)
        self._settings: dict[Account, _Settings] = {}
        self._ahead = 0.0
        self._lock = threading.Lock()
        self._view = view_of(config, self._buckets)
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(self._asking)
        self.registry.register(TaskCollector(self._picture))
        self.exposition = Exposition(self._picture, self._asking)
        self.reconfigure(config)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Every account that is watched."""
        return tuple(account.account for account in self._poller.accounts)

    def reconfigure(self, config: Config) -> None:
        """Watch what a configuration says: accounts come, change and go, and the others don't notice.

        Raises:
            DatabaseError: a new account can't be recalled from the ledger.
        """
        # Before anything new is recalled, and so opened: see `Services.create`.
        begun = self._clock.steady()
        with self._lock:
            old = {account.account: account for account in self._poller.accounts}
            config = self._split_as_before(config)
            mine = sharded(config, self.shard)
            sections: tuple[AccountConfig, ...] = (*mine.qencode, *mine.livepeer)
            wanted = {
                account_of(section): _Settings(section, config.poll, config.storage.keep)
                for section in sections
            }
            # What can fail comes first, so that a failure changes nothing.
            new = {
                account: self._recall(account, settings)
                for account, settings in wanted.items()
                if account not in old
            }
            for account in {account_of(section) for section in config.livepeer} - wanted.keys():
                self._ledger.leave(account)
            self._poller.accounts = tuple(
                self._unchanged(account, settings, old) or self._watch(account, settings, old, new, begun)
                for account, settings in wanted.items()
            )
            for account in old.keys() - wanted.keys():
                old[account].retire()
                self.telemetry.forget(account)
                self._services.forget(account)
            self._view, self._settings = view_of(config, self._buckets), wanted
            _warn_of_restart(self._started, config)
        self.telemetry.configured(at=self._clock.time())

    def board(self) -> Board:
        """Return everything that is known at this moment, for people."""
        healths = {account.account: account.health for account in self._poller.accounts}
        picture = self._picture()
        which = part(self.shard.number, self.shard.total)
        return Board(picture.snapshots, healths, picture.view, picture.to_date, part=which)

    def refresh(self, timeout: float) -> None:
        """Poll what is due, for at most `timeout` seconds."""
        self._poller.refresh(timeout)

    def catch_up(self, timeout: float) -> None:
        """Poll what is due, for at most `timeout` seconds; what takes longer is late to a scrape only."""
        self._poller.catch_up(timeout)

    def now(self) -> float:
        """Return the present moment, by the clock that dates what is shown (seconds since the epoch)."""
        return self._clock.steady() + self._to_date()

    def is_up(self, account: Account) -> bool:
        """Whether the last poll of an account worked."""
        labels = dict(zip(families.UP.labels, account, strict=True))
        return self._asking.get_sample_value(families.UP.name, labels) == 1

    def label(self, provider: Provider, task: str) -> str:
        """Return what people may see of a task's id; a Qencode token is a capability as well."""
        return self._view.label(provider, task)

    def given_tokens(self, account: Account) -> Mapping[str, GivenToken]:
        """Return the tokens that were given to an account. Raises `UnknownAccountError`."""
        with self._lock:
            return self._given_to(account)

    def give_token(self, account: Account, token: str, labels: Labels) -> bool:
        """Watch a token, or change its labels; return whether it is new.

        Raises:
            UnknownAccountError: no such account of Qencode is configured.
            OtherShardError: it belongs to another shard.
            DatabaseError: it can't be remembered.
        """
        with self._lock:
            given = self._given_to(account)
            if not self._owns(account, token):
                raise OtherShardError(owner(token_key(account, token), self.shard.total), self.shard.total)
            before = given.get(token)
            after = GivenToken(labels, before.added if before else self._clock.steady())
            self._ledger.give(account, token, after)
            return before is None

    def take_token(self, account: Account, token: str) -> bool:
        """Watch a token no longer; return whether it had been given. See `give_token` for what it raises."""
        with self._lock:
            if token not in self._given_to(account):
                return False
            self._ledger.take(account, token)
            return True

    def close(self) -> None:
        """Write what waits to be written, and close all connections."""
        with self._lock:
            for account in self._poller.accounts:
                account.retire()
            self._ledger.close()
            if self._claim:
                self._claim.drop()

    def _unchanged(
        self, account: Account, settings: _Settings, old: Mapping[Account, AccountPoller]
    ) -> AccountPoller | None:
        return old.get(account) if self._settings.get(account) == settings else None

    def _split_as_before(self, config: Config) -> Config:
        """Return a configuration that splits each account as at the start: so do the other shards."""
        before = {one.name: self._shard_by.setdefault(one.name, one.shard_by) for one in config.livepeer}
        if any(one.shard_by is not before[one.name] for one in config.livepeer):
            _log.warning("changed, but takes effect only at the next start", key="livepeer.shard_by")
        kept = tuple(replace(one, shard_by=before[one.name]) for one in config.livepeer)
        return replace(config, livepeer=kept)

    def _recall(self, account: Account, settings: _Settings) -> Knowledge:
        share = share_of(settings.account, self.shard)
        terms = Terms(settings.poll.retention, self._buckets, self.shard, by_type=share.by_type)
        knowledge = self._ledger.recall(account, terms)
        given = self._ledger.tokens(account)
        if away := [token for token in given if not self._owns(account, token)]:
            _log.warning(
                "tokens that were given belong to other shards now, give them to those",
                account=str(account),
                number=len(away),
                task=self.label(account.provider, away[0]),
            )
        return knowledge

    def _owns(self, account: Account, token: str) -> bool:
        return self.shard.owns(token_key(account, token))

    def _watch(
        self,
        account: Account,
        settings: _Settings,
        old: Mapping[Account, AccountPoller],
        new: Mapping[Account, Knowledge],
        begun: float,
    ) -> AccountPoller:
        """Return a poller of a new account, or one that takes over what is known about a changed one."""
        if account in new:
            self.telemetry.watch(account)
            knowledge = new[account]
        else:
            old[account].retire()
            knowledge = old[account].knowledge
            if not knowledge.tasks:
                # Nothing has been answered yet: what had ended when it was first watched is history still.
                begun = min(begun, knowledge.opened)
            knowledge.retention = settings.poll.retention
        return AccountPoller(
            self._services.create(settings.account, settings.poll, keep=settings.keep, begun=begun),
            knowledge,
            self._ledger,
            clock=self._clock,
            telemetry=self.telemetry,
            min_interval=settings.poll.min_poll_interval,
            label=lambda task: self.label(account.provider, task),
        )

    def _given_to(self, account: Account) -> Mapping[str, GivenToken]:
        if account.provider is not Provider.QENCODE or account not in self._settings:
            raise UnknownAccountError(f"no account {account.name!r} of Qencode is configured")
        return self._ledger.tokens(account)

    def _given_labels(self, account: Account) -> Mapping[str, Labels]:
        with self._lock:
            return {token: given.labels for token, given in self._ledger.tokens(account).items()}

    def _picture(self) -> Picture:
        now = self._clock.steady()
        snapshots = (account.knowledge.snapshot(now) for account in self._poller.accounts)
        return Picture(tuple(snapshots), self._view, self._to_date())

    def _to_date(self) -> float:
        """Return what to add to a steady time to make it a date of the present clock.

        Only a step of the clock counts: two readings are never taken at once, and dates that move a little at
        every scrape would look like changes.
        """
        ahead = self._clock.time() - self._clock.steady()
        if abs(ahead - self._ahead) > CLOCK_STEP:
            self._ahead = ahead
        return self._ahead


def _warn_of_restart(before: Config, after: Config) -> None:
    """Tell what a running exporter can't change."""
    fixed = {
        "storage.url": (before.storage.url, after.storage.url),
        "metrics.duration_buckets": (before.metrics.duration_buckets, after.metrics.duration_buckets),
        "metrics.phase_duration_buckets": (
            before.metrics.phase_duration_buckets,
            after.metrics.phase_duration_buckets,
        ),
    }
    for key, (old, new) in fixed.items():
        if old != new:
            _log.warning("changed, but takes effect only at the next start", key=key)
