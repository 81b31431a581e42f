"""Which shard watches what. Pure functions: every shard comes to the same answer without asking the others.

What belongs to one shard is a token of Qencode, an account of Livepeer or, where that is split by task type,
one type of it. Each has a *key*, and belongs to the shard whose number makes the greatest hash with it
(rendezvous hashing). So a further shard takes its part from all the others, and nothing moves between those.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from exporter.model import TASK_TYPES, Account, Provider

_BY_TYPE: Final = " task_type"


def owner(key: str, total: int) -> int:
    """Return the number of the shard that a key belongs to, of so many; the same in every version.

    >>> [owner("livepeer/studio", total) for total in (1, 2, 3, 4)]
    [0, 0, 0, 0]
    """
    return max(range(total), key=lambda number: _weight(number, key)) if total > 1 else 0


def _weight(number: int, key: str) -> bytes:
    return blake2b(f"{number}/{key}".encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the exporters that share the tasks among them.

    Attributes:
        number: Which one, from 0.
        total: How many there are.
    """

    number: int = 0
    total: int = 1

    def __post_init__(self) -> None:
        """Raise `ValueError` if there is no such shard."""
        if self.total < 1:
            raise ValueError(f"there must be at least one shard, not {self.total}")
        if not 0 <= self.number < self.total:
            raise ValueError(f"there is no shard {self.number} of {self.total}: they are counted from 0")

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    @property
    def alone(self) -> bool:
        """Whether it shares with nobody."""
        return self.total == 1

    def owns(self, key: str) -> bool:
        """Whether a key belongs to this shard."""
        return owner(key, self.total) == self.number


ALONE: Final = Shard()
"""The only shard there is: everything belongs to it."""


def token_key(account: Account, token: str) -> str:
    """Return the key of a token of Qencode."""
    return f"{account}/{token}"


@dataclass(frozen=True, slots=True)
class Share:
    """The part of an account that one exporter watches.

    Attributes:
        account: The account.
        shard: Whose part; None for a part with nothing in it.
        by_type: Whether the account's task types belong to shards one by one (Livepeer).
    """

    account: Account
    shard: Shard | None = ALONE
    by_type: bool = False

    def holds(self, task: str, task_type: str) -> bool:
        """Whether a task is in this part."""
        if self.shard is None or self.shard.alone:
            return self.shard is not None
        if self.account.provider is Provider.QENCODE:
            return self.shard.owns(token_key(self.account, task))
        return self.shard.owns(f"{self.account}/{task_type}" if self.by_type else str(self.account))

    @property
    def types(self) -> frozenset[str]:
        """The task types in this part; of Qencode's only type, every shard has some."""
        types = TASK_TYPES[self.account.provider]
        if self.account.provider is Provider.QENCODE:
            return frozenset(types if self.shard else ())
        return frozenset(task_type for task_type in types if self.holds("", task_type))

    def __str__(self) -> str:
        """Return it as the ledger keeps it, without the account."""
        if self.shard is None:
            return ""
        return f"{self.shard}{_BY_TYPE if self.by_type and not self.shard.alone else ''}"


def read_share(account: Account, text: str) -> Share:
    """Return the part that a text of `str(share)` stands for. Raises `ValueError`.

    >>> read_share(Account(Provider.LIVEPEER, "studio"), "1/3 task_type").shard
    Shard(number=1, total=3)
    """
    if not text:
        return Share(account, None)
    number, total = text.removesuffix(_BY_TYPE).split("/")
    return Share(account, Shard(int(number), int(total)), by_type=text.endswith(_BY_TYPE))
