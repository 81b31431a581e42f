"""A ledger that remembers much."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from benchmarks.tasks import DAY, ended
from exporter.clock import SystemClock
from exporter.model import Account
from exporter.tracking.database import Batch, Database
from exporter.tracking.knowledge import Knowledge
from exporter.tracking.tracker import Moment


def remember(path: Path, finished: Mapping[Account, int]) -> Mapping[Account, Sequence[str]]:
    """Make a ledger that remembers so many ended tasks of each account; return their ids."""
    now = SystemClock().time()
    database = Database(f"sqlite:///{path}")
    database.open()
    made: dict[Account, Sequence[str]] = {}
    for account, number in finished.items():
        # Watched for longer than they are old: they were news, and count.
        knowledge = Knowledge(account, now - 8 * DAY)
        dice = Random(number)  # noqa: S311 - nothing here is secret
        seen = tuple(ended(account, number, dice, now))
        at = Moment(now - DAY, now - DAY)
        knowledge.apply(knowledge.plan(at, observations=seen, position=now - DAY))
        tasks, counts = knowledge.dump()
        database.write([Batch(account, knowledge.opened, knowledge.position, dict(tasks), dict(counts))])
        made[account] = [one.task for one in seen]
    database.close()
    return made
