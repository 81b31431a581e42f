"""The lines of single tasks. One idea: what did not change is not written again, and not packed again.

Copying text is cheap, making it is not. So the lines of an account's tasks lie in a *table*: a column of text
for each family, and the length of each task's line in it. Tasks are frozen: as long as the very same object
comes with the next picture, its lines hold, but for the moment at which it becomes stalled, which the table
knows. Each scrape writes the lines of the tasks that are new or have changed, and copies what lies between
them from the table of before. Each task keeps its place: so a column in which no line came out otherwise is
the same text, and stays the very same piece, which is packed at most once. The text has no other copy.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Final, NamedTuple, TypeVar

from exporter.metrics import lines
from exporter.metrics.families import TASK, TaskFamily
from exporter.metrics.tasks import Shown, labels_of
from exporter.metrics.view import Picture
from exporter.model import Task
from exporter.pieces import Piece

_BATCH: Final = 256
"""Tasks that are written at once, one family after the other: so many stay near the processor."""

_T = TypeVar("_T")


class _Column(NamedTuple):
    """The lines of one family.

    Attributes:
        text: All of them.
        lengths: Bytes of each task's line; 0 if it has none.
    """

    text: Piece
    lengths: Sequence[int]


class Table(NamedTuple):
    """The tasks of an account, and what is written of them.

    Attributes:
        at: When they were looked at (steady seconds).
        tasks: The tasks, in the order of their lines.
        stalls_at: From when on each is stalled if nothing changes (steady seconds).
        columns: Their lines, family by family.
    """

    at: float
    tasks: Sequence[Task]
    stalls_at: Sequence[float]
    columns: Sequence[_Column]


def written(shown: Shown, picture: Picture, entries: Sequence[TaskFamily]) -> Table:
    """Write all lines of the tasks of one account."""
    account, sight, tasks = shown
    columns: Sequence[tuple[list[bytes], list[int]]] = [([], []) for _ in entries]
    for start in range(0, len(tasks), _BATCH):
        batch = tasks[start : start + _BATCH]
        ours = lines.labels(TASK, [labels_of(account, task, picture) for task in batch])
        for entry, (texts, lengths) in zip(entries, columns, strict=True):
            own = lines.of_tasks(entry, batch, sight, ours)
            texts.append(text := "".join(own).encode())
            lengths += map(len, own if text.isascii() else map(str.encode, own))
    return Table(
        sight.at,
        tasks,
        [sight.stalls_at(task) for task in tasks],
        [_Column(Piece(b"".join(texts)), lengths) for texts, lengths in columns],
    )


def renewed(before: Table, shown: Shown, picture: Picture, entries: Sequence[TaskFamily]) -> Table:
    """Write the lines of those tasks that the table of before does not have as they are now."""
    change, tasks = _changed(before, shown)
    if not change.places and not tasks:
        return before._replace(at=shown.sight.at)
    new = written(shown._replace(tasks=tasks), picture, entries)
    return Table(
        new.at,
        change.joined(before.tasks, new.tasks),
        change.joined(before.stalls_at, new.stalls_at),
        [change.column(*columns) for columns in zip(before.columns, new.columns, strict=True)],
    )


def _changed(before: Table, shown: Shown) -> tuple["_Change", Sequence[Task]]:
    """Return what holds no more, and the tasks to be written: those that have a place, then new ones."""
    at, tasks = shown.sight.at, {task.seen.task: task for task in shown.tasks}
    places, gone, stale = list[int](), list[bool](), list[Task]()
    for place, (task, stalls_at) in enumerate(zip(before.tasks, before.stalls_at, strict=True)):
        now = tasks.pop(task.seen.task, None)
        if now is task and (at >= stalls_at) is (before.at >= stalls_at):
            continue
        places.append(place)
        gone.append(now is None)
        if now is not None:
            stale.append(now)
    return _Change(places, gone), [*stale, *tasks.values()]


class _Change(NamedTuple):
    """Which lines of a table hold no more; those of a new table take their places in turn, and then the end.

    Attributes:
        places: Theirs in the table, in order.
        gone: Whether the task has gone, so that nothing takes the place.
    """

    places: Sequence[int]
    gone: Sequence[bool]

    def joined(self, old: Sequence[_T], new: Sequence[_T]) -> Sequence[_T]:
        """Return what both tables have of each task, in one."""
        joined: list[_T | None] = list(old)
        rest = iter(new)
        for place, gone in zip(self.places, self.gone, strict=True):
            joined[place] = None if gone else next(rest)
        return [*(one for one in joined if one is not None), *rest]

    def column(self, old: _Column, new: _Column) -> _Column:
        """Return the lines of one family in both tables, in one."""
        text = b"".join(self._parts(old, new))
        # What is the same stays the same piece.
        piece = old.text if text == old.text.text else Piece(text)
        return _Column(piece, self.joined(old.lengths, new.lengths))

    def _parts(self, old: _Column, new: _Column) -> Iterator[bytes]:
        """Yield what is kept, and what takes the place that follows, by turns."""
        text, ends = old.text.text, [*accumulate(old.lengths, initial=0)]
        kept_from = [0, *(ends[place + 1] for place in self.places)]
        kept_to = [*(ends[place] for place in self.places), ends[-1]]
        kept = [text[start:end] for start, end in zip(kept_from, kept_to, strict=True)]
        text, rest = new.text.text, iter(new.lengths)
        ends = [*accumulate((0 if gone else next(rest) for gone in self.gone), initial=0)]
        added = [text[start:end] for start, end in zip(ends, [*ends[1:], len(text)], strict=True)]
        return chain.from_iterable(zip(kept, added, strict=True))
