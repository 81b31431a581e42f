"""The text of a scrape. One idea: what did not change is not written again, and not packed again.

Joining text is cheap, making it is not. So each task that is shown has a *row*: its line in each family, made
once and kept with the task it was made of. Tasks are frozen: as long as the very same object comes with the
next picture, its row holds, but for the moment at which it becomes stalled, which the row knows. Each scrape
takes the rows over from the one before, writes those that are new, and leaves those of tasks that have gone.
A family is then the same column of all rows. The families of the fleet are few, and written anew. If all of
the picture is that of before, so is all of the text; and each family is a piece that is packed at most once.

Text and OpenMetrics share the lines of the tasks; those of the fleet differ in headers and exemplars. It all
says the same, sample by sample, as what the official client makes of `TaskCollector`
(tests/unit/test_exposition.py).
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Final, NamedTuple

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Exemplar

from exporter.metrics.families import TASK, Family, TaskFamily
from exporter.metrics.fleet import fleet
from exporter.metrics.samples import Labels, Series
from exporter.metrics.tasks import Shown, choose, custom_names, dropped, per_task
from exporter.metrics.view import Picture, View
from exporter.model import Account, Task
from exporter.pieces import Piece, renewed

_EOF: Final = b"# EOF\n"
_SCHEMES: Final = re.compile(r"escaping=(dots|values)")
_Rows = Mapping[Account, Mapping[str, "_Row"]]


class Text(NamedTuple):
    """An exposition: its media type, and its text, family by family."""

    content_type: str
    pieces: Sequence[Piece]


class _Row(Struct, frozen=True, gc=False):
    """The lines of a task, one for each family; "" is none.

    Attributes:
        task: The task.
        stalls_at: From when on it is stalled if nothing changes (steady seconds).
        stalled: Whether the lines say so.
        lines: The lines.
    """

    task: Task
    stalls_at: float
    stalled: bool
    lines: tuple[str, ...]

    def holds(self, task: Task, at: float) -> bool:
        return self.task is task and (at >= self.stalls_at) is self.stalled


class _Writing(NamedTuple):
    """All that a row depends on beside its task: one that was written otherwise is of no use."""

    view: View
    to_date: float
    custom: Labels


class _Written(NamedTuple):
    """What a picture was made into.

    Attributes:
        picture: The picture.
        until: When it will look otherwise, though nothing changes (steady seconds).
        writing: How the rows were written; None if there are none.
        rows: Of the tasks that are shown.
        tasks: The families of single tasks.
        few: The samples of the other families.
        fleet: The same as text, by whether it is OpenMetrics; made when it is wanted.
    """

    picture: Picture
    until: float
    writing: _Writing | None
    rows: _Rows
    tasks: Sequence[Piece]
    few: Sequence[Series]
    fleet: dict[bool, Sequence[Piece]]

    def holds(self, picture: Picture) -> bool:
        return self.picture.at <= picture.at < self.until and picture.shows_the_same(self.picture)

    def pieces(self, *, openmetrics: bool) -> Sequence[Piece]:
        if openmetrics not in self.fleet:
            self.fleet[openmetrics] = [Piece(_text(one, openmetrics=openmetrics)) for one in self.few]
        return [*self.fleet[openmetrics], *self.tasks]


class Exposition:
    """Renders what is known about the tasks, and what other collectors tell. Safe for several threads."""

    def __init__(self, picture: Callable[[], Picture], others: CollectorRegistry) -> None:
        """Render nothing yet.

        Args:
            picture: What there is to be shown of the tasks; called once a scrape.
            others: Everything else; rendered by the official client.
        """
        self._picture = picture
        self._others = others
        self._written = _Written(Picture(()), -math.inf, None, {}, (), (), {})

    def render(self, accept: str) -> Text:
        """Return everything in the format that an Accept header asks for."""
        try:
            # There is nothing in our names to be escaped, but not every scheme leaves them alone.
            encode, content_type = choose_encoder(_SCHEMES.sub("escaping=underscores", accept))
        except (TypeError, ValueError):
            # The library does not expect a version that is no number.
            encode, content_type = choose_encoder("")
        openmetrics = content_type.startswith("application/openmetrics-text")
        others = Piece(encode(self._others).removesuffix(_EOF))
        # Looked at once: another thread may be writing the next.
        written, picture = self._written, self._picture()
        if not written.holds(picture):
            written = self._written = _write(picture, written)
        end = [Piece(_EOF)] if openmetrics else []
        return Text(content_type, [others, *written.pieces(openmetrics=openmetrics), *end])


def _write(picture: Picture, before: _Written) -> _Written:
    """Write what has changed."""
    shown = choose(picture)
    few = [
        Series(series.family, tuple(series.samples)) for series in (*fleet(picture), dropped(picture, shown))
    ]
    entries: Sequence[TaskFamily] = ()
    writing, rows = None, {}
    if picture.view.per_task:
        writing = _Writing(picture.view, picture.to_date, custom_names(shown))
        entries = per_task(writing.custom)
        kept = before.rows if before.writing == writing else {}
        rows = {one.account: _updated(kept.get(one.account, {}), one, picture, entries) for one in shown}
    return _Written(
        picture,
        picture.until(),
        writing,
        rows,
        renewed(before.tasks, _columns(rows, entries)),
        few,
        {},
    )


def _columns(rows: _Rows, entries: Sequence[TaskFamily]) -> Iterator[bytes]:
    """Yield the text of each family of the single tasks: a column of all rows."""
    lines = [row.lines for row in chain.from_iterable(of_account.values() for of_account in rows.values())]
    columns = zip(*lines, strict=True) if lines else repeat(())
    for entry, column in zip(entries, columns, strict=False):
        yield (_header(entry.family, entry.family.name) + "".join(column)).encode()


def _updated(
    kept: Mapping[str, _Row], shown: Shown, picture: Picture, entries: Sequence[TaskFamily]
) -> Mapping[str, _Row]:
    """Return the rows of the tasks of one account: those that hold, and new ones for the other tasks."""
    at, tasks = shown.sight.at, {task.seen.task: task for task in shown.tasks}
    # In the order of before: a family in which no line changed is the same text, and packed already.
    places = chain((task_id for task_id in kept if task_id in tasks), tasks)
    rows = {
        task_id: row if (row := kept.get(task_id)) and row.holds(tasks[task_id], at) else None
        for task_id in dict.fromkeys(places)
    }
    missing = [task for task in shown.tasks if rows[task.seen.task] is None]
    for row in _write_rows(shown._replace(tasks=missing), picture, entries):
        rows[row.task.seen.task] = row
    return rows  # type: ignore[return-value]


def _write_rows(shown: Shown, picture: Picture, entries: Sequence[TaskFamily]) -> Sequence[_Row]:
    """Write the rows of tasks, family by family."""
    (provider, name), sight, tasks = shown
    label = picture.view.label
    ours = [_labels(TASK, (provider, name, label(provider, task.id), task.seen.task_type)) for task in tasks]
    columns = (_column(entry, shown, ours) for entry in entries)
    return [
        _Row(task, stalls_at := sight.stalls_at(task), sight.at >= stalls_at, lines)
        for task, lines in zip(tasks, zip(*columns, strict=True), strict=True)
    ]


def _column(entry: TaskFamily, shown: Shown, ours: Sequence[str]) -> Sequence[str]:
    """Write the lines of tasks in one family; `ours` are the labels that they have in all families."""
    start, value_of, labels_of, sight = f"{entry.family.name}{{", entry.value, entry.labels, shown.sight
    if names := entry.family.labels[len(TASK) :]:
        return [
            ""
            if (value := value_of(task, sight)) is None
            else f"{start}{same},{_labels(names, labels_of(task))}}} {value!r}\n"
            for task, same in zip(shown.tasks, ours, strict=True)
        ]
    return [
        "" if (value := value_of(task, sight)) is None else f"{start}{same}}} {value!r}\n"
        for task, same in zip(shown.tasks, ours, strict=True)
    ]


def _header(family: Family, name: str) -> str:
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"


def _text(series: Series, *, openmetrics: bool) -> bytes:
    """Write a family of the fleet."""
    family = series.family
    lines = [_header(family, family.base if openmetrics else family.name)]
    for values, value, suffix, exemplar in series.samples:
        labels = f"{{{_recurring(series.names(suffix), values)}}}" if values else ""
        more = _exemplar(exemplar) if exemplar and openmetrics else ""
        lines.append(f"{family.name}{suffix}{labels} {value!r}{more}\n")
    return "".join(lines).encode()


def _exemplar(exemplar: Exemplar) -> str:
    labels = _labels(tuple(exemplar.labels), tuple(exemplar.labels.values()))
    return f" # {{{labels}}} {exemplar.value!r} {exemplar.timestamp}"


def _labels(names: Labels, values: Labels) -> str:
    """Return labels as they stand between braces."""
    pattern = _pattern(names)
    text = pattern % values
    # Hardly ever has a value anything to escape: one look at all of them.
    if "\\" in text or "\n" in text or text.count('"') != 2 * len(names):
        text = pattern % tuple(map(_escaped, values))
    return text


_recurring: Final = lru_cache(maxsize=16_384)(_labels)
"""For the fleet, whose labels come again with each scrape."""


@lru_cache(maxsize=1024)
def _pattern(names: Labels) -> str:
    return ",".join(f'{name}="%s"' for name in names)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
