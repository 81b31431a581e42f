"""The text of a scrape, in pieces.

The lines of single tasks lie in tables, of which only what has changed is written
(exporter/metrics/table.py). The families of the fleet are few, and written anew. If all of the picture is
that of the scrape before, so is all of the text.

Text and OpenMetrics share the lines of the tasks; those of the fleet differ in headers and exemplars. It all
says the same, sample by sample, as what the official client makes of `TaskCollector`
(tests/unit/test_exposition_stateful.py).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from exporter.metrics import lines, table
from exporter.metrics.families import Family
from exporter.metrics.fleet import fleet
from exporter.metrics.groups import groups_of
from exporter.metrics.samples import Labels, Series
from exporter.metrics.table import Table
from exporter.metrics.tasks import choose, custom_names, dropped, per_task
from exporter.metrics.view import Picture, View
from exporter.model import Account
from exporter.pieces import Piece

_EOF: Final = b"# EOF\n"
_SCHEMES: Final = re.compile(r"escaping=(dots|values)")


class Text(NamedTuple):
    """An exposition: its media type, and its text, family by family."""

    content_type: str
    pieces: Sequence[Piece]


class _Writing(NamedTuple):
    """All that a line depends on beside its task: what was written otherwise is of no use."""

    view: View
    to_date: float
    custom: Labels


class _Written(NamedTuple):
    """What a picture was made into.

    Attributes:
        picture: The picture.
        until: When it will look otherwise, though nothing changes (steady seconds).
        writing: How the tables were written; None if there are none.
        tables: Of the tasks that are shown, by account.
        headers: Of the families of single tasks.
        few: The samples of the other families.
        fleet: The same as text, by whether it is OpenMetrics; made when it is wanted.
    """

    picture: Picture
    until: float
    writing: _Writing | None
    tables: Mapping[Account, Table]
    headers: Sequence[Piece]
    few: Sequence[Series]
    fleet: dict[bool, Sequence[Piece]]

    def holds(self, picture: Picture) -> bool:
        return self.picture.at <= picture.at < self.until and picture.shows_the_same(self.picture)

    def pieces(self, *, openmetrics: bool) -> Sequence[Piece]:
        if openmetrics not in self.fleet:
            self.fleet[openmetrics] = [
                Piece(lines.whole(one, openmetrics=openmetrics).encode()) for one in self.few
            ]
        columns = [[column.text for column in table.columns] for table in self.tables.values()]
        families = chain.from_iterable(zip(self.headers, *columns, strict=True))
        return [*self.fleet[openmetrics], *(piece for piece in families if piece.text)]


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
            official, content_type = choose_encoder(_SCHEMES.sub("escaping=underscores", accept))
        except (TypeError, ValueError):
            # The library does not expect a version that is no number.
            official, content_type = choose_encoder("")
        openmetrics = content_type.startswith("application/openmetrics-text")
        others = Piece(official(self._others).removesuffix(_EOF))
        # Looked at once: another thread may be writing the next.
        written, picture = self._written, self._picture()
        if not written.holds(picture):
            written = self._written = _write(picture, written)
        end = [Piece(_EOF)] if openmetrics else []
        return Text(content_type, [others, *written.pieces(openmetrics=openmetrics), *end])


def _write(picture: Picture, before: _Written) -> _Written:
    """Write what has changed."""
    groups, shown = groups_of(picture), choose(picture)
    few = [
        Series(series.family, tuple(series.samples))
        for series in (*fleet(picture, groups), dropped(picture, shown))
    ]
    until = min((group.stalls_next for group in groups), default=math.inf)
    if not picture.view.per_task:
        return _Written(picture, until, None, {}, (), few, {})
    writing = _Writing(picture.view, picture.to_date, custom_names(shown))
    entries = per_task(writing.custom)
    same = before.writing == writing
    tables = {}
    for one in shown:
        old = before.tables.get(one.account) if same else None
        tables[one.account] = (
            table.renewed(old, one, picture, entries) if old else table.written(one, picture, entries)
        )
    headers = before.headers if same else [_header(entry.family) for entry in entries]
    return _Written(picture, until, writing, tables, headers, few, {})


def _header(family: Family) -> Piece:
    return Piece(lines.header(family, family.name).encode())
