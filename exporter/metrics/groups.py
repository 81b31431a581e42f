"""Tasks that are alike, counted: all that the fleet's gauges need to know of them. Pure functions."""

import math
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.metrics.view import Picture, Sight, failure
from exporter.model import Account, FailureReason, State, Task


class Group(NamedTuple):
    """The tasks of an account that have the same type, phase and failure.

    Attributes:
        account: The account.
        task_type: Their type.
        phase: Their phase.
        state: What the phase means.
        failure: Why they have failed; None if they have not, or had before anybody watched.
        tasks: How many they are.
        stalled: How many of them are stalled.
        stalls_next: When the next of them becomes stalled if nothing changes (steady seconds); infinite if
            none will.
        oldest: When the first of them was created; None if they have ended, wait for a person, or nobody
            tells.
    """

    account: Account
    task_type: str
    phase: str
    state: State
    failure: FailureReason | None
    tasks: int
    stalled: int
    stalls_next: float
    oldest: float | None


_TRAITS: Final = attrgetter("seen.task_type", "seen.phase", "seen.state", "seen.reason", "history")


def groups_of(picture: Picture) -> Sequence[Group]:
    """Return all tasks in groups."""
    groups = []
    for snapshot in picture.snapshots:
        alike: defaultdict[tuple[object, ...], list[Task]] = defaultdict(list)
        for task in snapshot.tasks:
            alike[_TRAITS(task)].append(task)
        groups += [_group(snapshot.account, picture.sight(snapshot), tasks) for tasks in alike.values()]
    return groups


def _group(account: Account, sight: Sight, tasks: Sequence[Task]) -> Group:
    seen = tasks[0].seen
    # Most tasks have ended: only of the others is each looked at once more.
    active = [] if seen.state.terminal else [task for task in tasks if task.ended is None]
    stalls = [sight.stalls_at(task) for task in active]
    created = [at for task in active if (at := task.seen.created) is not None and not task.seen.awaits_file]
    return Group(
        account,
        seen.task_type,
        seen.phase,
        seen.state,
        failure(tasks[0]),
        len(tasks),
        sum(sight.at >= at for at in stalls),
        min((at for at in stalls if at > sight.at), default=math.inf),
        min(created, default=None),
    )
