"""An exposition that is shown pictures, and what the official client says of the same."""

import gzip
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import prometheus_client as official
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.collector import TaskCollector
from exporter.metrics.exposition import Exposition, Text
from exporter.metrics.view import Picture, View
from exporter.model import Account, Observation, Provider, State, Task
from exporter.pieces import Piece, gzipped
from exporter.tracking.knowledge import Snapshot
from exporter.tracking.tally import Buckets

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
FORMATS = (TEXT, OPENMETRICS)

ODD = (
    *(
        "",
        "\\",
        "\n",
        '"',
        "\\n",
        '\\"',
        '"\n\\',
        "\\\\",
        "ends with \\",
        'a="b",c',
        "}",
        "} 1\n",
        "{}",
        "{0}",
    ),
    *(
        "%",
        "%s",
        "%%",
        "%(task)s",
        " ",
        " # {",
        "# EOF\n",
        "\r",
        "\t",
        "\x00",
        "\x85\u2028",
        "ü",
        "🎬",
        "\u202eabc",
    ),
)
"""What needs escaping, what looks as if it did, and what a format could stumble over."""

VOD = Account(Provider.QENCODE, "vod")
STUDIO = Account(Provider.LIVEPEER, "studio")
STRANGE = Account(Provider.QENCODE, '"str{a}%s\\nge"\n🎬')
ACCOUNTS = (VOD, STUDIO, STRANGE)

NOW = 1_000.0
SMALL = Buckets((60.0,), (1.0,))
STALLED = {State.QUEUED: 7.5, State.RUNNING: 5.0, State.UNKNOWN: 0.0}


def others() -> CollectorRegistry:
    """What else there is, with samples of each kind."""
    registry = CollectorRegistry()
    gauge = official.Gauge("gauge", 'Help with \\, \n and ".', ["text"], registry=registry)
    for text in ODD:
        gauge.labels(text).set(ODD.index(text))
    official.Counter("counter", "A counter.", ["a"], registry=registry).labels("b").inc(
        2, {"task": '""\\\n🎬'}
    )
    official.Histogram("histogram", "A histogram.", registry=registry).observe(0.3, {"task": "t"})
    return registry


OTHERS = others()


# --- What a text says ------------------------------------------------------------------------------------


class Value(NamedTuple):
    """A sample that can be counted."""

    name: str
    labels: frozenset[tuple[str, str]]
    value: float
    timestamp: object
    exemplar: tuple[object, ...] | None


class Said(NamedTuple):
    """A family, as a parser of the official client has it."""

    kind: str
    help: str
    samples: Counter[Value]


def said(metric: Metric) -> Said:
    samples = (
        Value(name, frozenset(labels.items()), float(value), timestamp, exemplar and _exemplar(exemplar))
        for name, labels, value, timestamp, exemplar, *_ in metric.samples
    )
    return Said(metric.type, metric.documentation, Counter(samples))


def _exemplar(exemplar: official.samples.Exemplar) -> tuple[object, ...]:
    return *exemplar.labels.items(), float(exemplar.value), float(exemplar.timestamp or 0)


def whole(text: str, accept: str) -> Mapping[str, Said]:
    """Return the families of a text."""
    read: Iterable[Metric] = parse_openmetrics(text) if accept == OPENMETRICS else parse_text(text)  # type: ignore[no-untyped-call]
    families = list(read)
    assert len({family.name for family in families}) == len(families)
    return {family.name: said(family) for family in families}


def by_family(text: str, accept: str) -> Mapping[str, Said]:
    """Return the same faster: what was read before is not read again."""
    blocks = re.split(r"^(?=# HELP )", text.removesuffix("# EOF\n"), flags=re.M)
    families = [one for block in filter(None, blocks) for one in _block(block, accept).items()]
    assert len(dict(families)) == len(families), "a family comes twice"
    return dict(families)


@lru_cache(maxsize=4096)
def _block(block: str, accept: str) -> Mapping[str, Said]:
    families = whole(block + "# EOF\n" * (accept == OPENMETRICS), accept)
    assert len(families) == 1, f"lines of another family stand among these: {block}"
    return families


def rendered(exposition: Exposition, accept: str = TEXT) -> str:
    return joined(exposition.render(accept), accept)


def joined(answer: Text, accept: str) -> str:
    """Return the text of an answer, which is the same packed."""
    text = b"".join(piece.text for piece in answer.pieces).decode()
    assert gzip.decompress(b"".join(gzipped(answer.pieces))).decode() == text
    assert [line for line in text.split("\n") if line == "# EOF"] == ["# EOF"] * (accept == OPENMETRICS)
    assert text.endswith("# EOF\n") == (accept == OPENMETRICS)
    return text


def expected(picture: Picture, accept: str = TEXT) -> str:
    """Return what the official client makes of it."""
    registry = CollectorRegistry()
    registry.register(OTHERS)
    registry.register(TaskCollector(lambda: picture))
    encode, _ = choose_encoder(accept)
    return encode(registry).decode()


# --- What is shown ---------------------------------------------------------------------------------------


class Watched(Task, frozen=True, weakref=True):
    """A task of which one can tell whether anybody still holds it."""


def task(task_id: str, **fields: Any) -> Watched:
    """A task that runs, last changed at 1000."""
    seen = Observation(task=task_id, task_type="transcode", phase="encoding", state=State.RUNNING, dated=0.0)
    known = {name: fields.pop(name) for name in ("changed", "ended", "retries", "history") if name in fields}
    return Watched(msgspec.structs.replace(seen, **fields), **{"retries": None, "changed": NOW, **known})


def a_picture(*tasks: Task, at: float = NOW, view: View | None = None, to_date: float = 0.0) -> Picture:
    """The account vod has these tasks."""
    view = view or View(stall_after=STALLED, buckets=SMALL)
    return Picture((Snapshot(VOD, at, tasks, {}, {}),), view, to_date)


class Desk:
    """An exposition, the picture that it is shown, and whose rows it has written since one last asked."""

    def __init__(self, picture: Picture) -> None:
        self._labelled: list[str] = []
        self.show(picture)
        self.exposition = Exposition(lambda: self.picture, OTHERS)

    def show(self, picture: Picture) -> None:
        self.picture = replace(picture, view=replace(picture.view, label=self._label))

    def written(self, accept: str = TEXT) -> list[str]:
        """Scrape, and return the tasks whose lines were made for that."""
        self._labelled.clear()
        text = rendered(self.exposition, accept)
        written = list(self._labelled)
        assert by_family(text, accept) == by_family(expected(self.picture, accept), accept)
        return written

    def _label(self, _: Provider, task_id: str) -> str:
        self._labelled.append(task_id)
        return task_id


def seen_at(at: float, picture: Picture) -> Picture:
    return replace(picture, snapshots=tuple(replace(one, at=at) for one in picture.snapshots))


def pieces(desk: Desk) -> Mapping[str, Sequence[Piece]]:
    """Scrape; return what tells of tasks by family, in pieces of which each is packed once."""
    _, *ours = desk.exposition.render(TEXT).pieces
    families: dict[str, list[Piece]] = {}
    for piece in ours:
        name = re.match(rb"(?:# HELP )?(\w+)", piece.text)
        assert name
        families.setdefault(name[1].decode(), []).append(piece)
    return families
