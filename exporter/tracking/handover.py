"""How an account goes on where it was watched under another share, or by others. Pure functions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.model import Provider
from exporter.sharding import Share
from exporter.tracking.adoption import NONE, Adoption
from exporter.tracking.packing import PackedTask


@dataclass(frozen=True, slots=True)
class Handover:
    """How an account goes on.

    Attributes:
        adoption: Which of its tasks are adopted.
        moved: The share is another one than before: some tasks may no longer be in it.
        anew: The account has to be read from the start: others have read what is now in the share.
    """

    adoption: Adoption
    moved: bool = False
    anew: bool = False


def hand_over(share: Share, former: Share, adopted: float | None, now: float) -> Handover:
    """Work out how an account goes on.

    Args:
        share: What is watched of it from now on.
        former: What was watched of it until now.
        adopted: When tasks were last adopted (steady seconds); None if never.
        now: The present (steady seconds).
    """
    still = Adoption(-math.inf if adopted is None else min(adopted, now))
    if share.account.provider is Provider.QENCODE:
        # Its tasks are dated by when they came to be watched: what a later process finds is news.
        return Handover(Adoption(now, former), moved=True) if _differ(share, former) else Handover(NONE)
    if share.types <= former.types:
        return Handover(still, moved=_differ(share, former))
    # Tasks that were in the share already are adopted as well: some are forgotten, and now come again.
    return Handover(Adoption(now), moved=True, anew=True)


def first_share(share: Share) -> Share:
    """Return what counts as watched until now, of an account that nothing is known about.

    Of several exporters none can tell a new account from one that another has watched.
    """
    alone = share.shard is not None and share.shard.alone
    return Share(share.account) if alone else Share(share.account, None)


def held(tasks: Mapping[str, PackedTask], share: Share) -> Mapping[str, PackedTask]:
    """Return the tasks that are in a share."""
    return {task: packed for task, packed in tasks.items() if share.holds(task, packed.task_type)}


def _differ(share: Share, former: Share) -> bool:
    return str(share) != str(former)
