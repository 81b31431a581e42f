"""The series of single tasks: of which ones, and with which labels. Pure functions."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple

from exporter.metrics import families
from exporter.metrics.families import PER_TASK, TaskFamily
from exporter.metrics.samples import Labels, Sample, Series
from exporter.metrics.view import Picture, Sight
from exporter.model import Account, Task

MAX_CUSTOM_LABELS: Final = 64
"""Names of custom labels, over all tokens: the most frequent ones."""


class Shown(NamedTuple):
    """The tasks of one account that have series of their own, and from where they are looked at."""

    account: Account
    sight: Sight
    tasks: Sequence[Task]


def choose(picture: Picture) -> Sequence[Shown]:
    """Return the tasks that have series of their own: all, or the active and the newest ones, or none."""
    if not picture.view.per_task:
        return ()
    accounts = [(snapshot.account, picture.sight(snapshot), snapshot.tasks) for snapshot in picture.snapshots]
    most = picture.view.max_task_series
    if sum(len(tasks) for _, _, tasks in accounts) <= most:
        return [Shown(*account) for account in accounts]
    tasks = ((task.ended is None, task.changed, number) for number, task in enumerate(_all(picture)))
    chosen = {number for *_, number in heapq.nlargest(most, tasks)}
    numbers = iter(range(sum(len(tasks) for _, _, tasks in accounts)))
    return [
        Shown(
            account, sight, [task for task, number in zip(tasks, numbers, strict=False) if number in chosen]
        )
        for account, sight, tasks in accounts
    ]


def custom_names(shown: Sequence[Shown]) -> Labels:
    """Return the names of the custom labels of all tasks: the info of each has all, one stable set."""
    labels = chain.from_iterable(task.seen.labels for _, _, tasks in shown for task in tasks)
    used = Counter(map(itemgetter(0), labels))
    # Each task has all of them: names without bound would multiply with the tasks.
    return tuple(sorted(sorted(used, key=lambda name: (-used[name], name))[:MAX_CUSTOM_LABELS]))


def per_task(custom: Labels) -> Sequence[TaskFamily]:
    """Return the families that each task has samples of, with these custom labels on its info."""
    family = families.TASK_INFO
    names = (*family.labels, *_renamed(custom, family.labels))

    def values(task: Task) -> Labels:
        seen = task.seen
        ours = (seen.project, seen.input_asset, seen.output_asset)
        if not custom:
            return ours
        given = dict(seen.labels)
        return (*ours, *(given.get(name, "") for name in custom))

    return (*PER_TASK, TaskFamily(replace(family, labels=names), lambda *_: 1, values))


def single_tasks(picture: Picture, shown: Sequence[Shown]) -> Iterable[Series]:
    """Yield every family of the single tasks."""
    for entry in per_task(custom_names(shown)) if picture.view.per_task else ():
        yield Series(
            entry.family,
            [
                Sample((*labels_of(account, task, picture), *entry.labels(task)), value)
                for account, sight, tasks in shown
                for task in tasks
                if (value := entry.value(task, sight)) is not None
            ],
        )


def labels_of(account: Account, task: Task, picture: Picture) -> Labels:
    """Return the labels that lead each series of a task."""
    provider, name = account
    return provider, name, picture.view.label(provider, task.id), task.seen.task_type


def dropped(picture: Picture, shown: Sequence[Shown]) -> Series:
    """Return how many active tasks have no series of their own, though tasks have."""
    left_out = 0
    if picture.view.per_task and sum(len(one.tasks) for one in shown) < sum(
        len(snapshot.tasks) for snapshot in picture.snapshots
    ):
        active = sum(task.ended is None for task in _all(picture))
        left_out = active - sum(task.ended is None for _, _, tasks in shown for task in tasks)
    return Series(families.SERIES_DROPPED, [Sample((), left_out)])


def _all(picture: Picture) -> Iterable[Task]:
    return chain.from_iterable(snapshot.tasks for snapshot in picture.snapshots)


_TAKEN: Final = ("le", "quantile", "job", "instance")
"""Names that Prometheus gives a meaning of its own: with `honor_labels` ours would take their place."""


def _renamed(custom: Sequence[str], ours: Sequence[str]) -> Sequence[str]:
    """Return the custom names so that none is taken: Prometheus' own way with a clash is `exported_`."""
    reserved = {*ours, *_TAKEN}
    taken = {*reserved, *custom}
    names = []
    for name in custom:
        shown = name
        while (shown != name or name in reserved) and shown in taken:
            shown = f"exported_{shown}"
        taken.add(shown)
        names.append(shown)
    return names
