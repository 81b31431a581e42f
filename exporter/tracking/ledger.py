"""Where knowledge is kept. A change is committed first and becomes visible afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from exporter.model import Account, Clock
from exporter.sharding import ALONE, Shard, Share
from exporter.tracking.handover import first_share, hand_over
from exporter.tracking.knowledge import Change, Knowledge
from exporter.tracking.tally import Buckets


@dataclass(frozen=True, slots=True)
class Terms:
    """How what is recalled is to be shown.

    Attributes:
        retention: Seconds for which an ended task keeps its series.
        buckets: Of the histograms.
        shard: Which exporter this is, of those that share the account.
        by_type: Whether they share it by task type.
    """

    retention: float
    buckets: Buckets
    shard: Shard = ALONE
    by_type: bool = False

    def share(self, account: Account) -> Share:
        """Return what is watched of an account."""
        return Share(account, self.shard, by_type=self.by_type)


class GivenToken(NamedTuple):
    """A Qencode token given by the API: its custom labels, and when it was added (steady seconds)."""

    labels: Mapping[str, str]
    added: float


class Ledger(Protocol):
    """Remembers the knowledge of every account, and the tokens that were given by the API."""

    def recall(self, account: Account, terms: Terms) -> Knowledge:
        """Return what is remembered of an account; a new one is first watched now."""

    def leave(self, account: Account) -> None:
        """Forget the tasks of an account that now belongs to another shard; its counters stay."""

    def commit(self, change: Change) -> None:
        """Remember a change, whole or not at all."""

    def tokens(self, account: Account) -> Mapping[str, GivenToken]:
        """Return the tokens that were given."""

    def give(self, account: Account, token: str, given: GivenToken) -> None:
        """Remember a token, or its new labels."""

    def take(self, account: Account, token: str) -> None:
        """Forget a token."""

    def close(self) -> None:
        """Let go of what is open."""


class MemoryLedger:
    """Remembers for as long as the process lives: the knowledge itself is all there is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[Account, dict[str, GivenToken]] = {}
        self._known: dict[Account, Knowledge] = {}

    def recall(self, account: Account, terms: Terms) -> Knowledge:
        """Return what is known of an account that was watched before, else empty knowledge."""
        known = self._known.get(account)
        if known is None:
            now, share = self._clock.steady(), terms.share(account)
            known = Knowledge(
                account,
                now,
                retention=terms.retention,
                buckets=terms.buckets,
                adoption=hand_over(share, first_share(share), None, now).adoption,
            )
        known.retention = terms.retention
        self._known[account] = known
        return known

    def leave(self, account: Account) -> None:
        """Do nothing: only what was watched since the start is known."""

    def commit(self, change: Change) -> None:
        """Do nothing: what becomes visible next is what is remembered."""

    def tokens(self, account: Account) -> Mapping[str, GivenToken]:
        """Return the tokens that were given since the start."""
        return dict(self._tokens.get(account, {}))

    def give(self, account: Account, token: str, given: GivenToken) -> None:
        """Remember a token."""
        self._tokens.setdefault(account, {})[token] = given

    def take(self, account: Account, token: str) -> None:
        """Forget a token."""
        self._tokens.get(account, {}).pop(token, None)

    def close(self) -> None:
        """Do nothing."""
