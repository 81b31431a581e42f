"""The committed dashboards, and everything in them that asks Prometheus something."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"

UIDS: Final = ("transcoding-overview", "transcoding-task", "transcoding-exporter")


class Ask(NamedTuple):
    """A query of a panel or of an annotation.

    `where` is the title of the panel, or `annotation` and its name; `ref` tells the queries of a panel apart.
    `now` tells whether it is asked for the end of the time shown only, and `names` how a result is named.
    """

    board: str
    where: str
    ref: str
    expr: str
    now: bool
    names: str

    def __str__(self) -> str:
        return f"{self.board.removeprefix('transcoding-')}: {self.where} {self.ref}".rstrip()


class Choice(NamedTuple):
    """A variable: the values of a label, among the series of a selector."""

    board: str
    name: str
    selector: str
    label: str

    def __str__(self) -> str:
        return f"{self.board.removeprefix('transcoding-')}: ${self.name}"


@cache
def board(uid: str) -> Mapping[str, Any]:
    """A dashboard as Grafana reads it."""
    found: Mapping[str, Any] = json.loads((FOLDER / f"{uid}.json").read_text())
    return found


def panels(uid: str) -> list[Mapping[str, Any]]:
    """The panels of a dashboard, without the rows between them."""
    return [panel for panel in board(uid)["panels"] if panel["type"] != "row"]


def asks() -> Iterator[Ask]:
    """Every query of every panel and annotation."""
    for uid in UIDS:
        for panel in panels(uid):
            for target in panel["targets"]:
                ref, legend = target["refId"], target["legendFormat"]
                yield Ask(uid, panel["title"], ref, target["expr"], target["instant"], legend)
        for annotation in board(uid)["annotations"]["list"]:
            where, texts = (
                f"annotation {annotation['name']}",
                annotation["titleFormat"] + annotation["textFormat"],
            )
            yield Ask(uid, where, "", annotation["expr"], False, texts)


def choices() -> Iterator[Choice]:
    """Every variable but that of the data source."""
    for uid in UIDS:
        for variable in board(uid)["templating"]["list"][1:]:
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found, variable
            yield Choice(uid, variable["name"], found[1], found[2])
