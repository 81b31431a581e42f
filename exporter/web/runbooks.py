"""The runbooks, as pages: every alert links to its own, at the exporter that it is about."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from markupsafe import Markup

_ROW: Final = re.compile(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| (.+) \|$", re.MULTILINE)
"""A row of the table that leads to the runbooks."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A runbook in the table of all.

    Attributes:
        name: Its name: that of the alert.
        severity: Of the alert.
        tells: What the alert tells, as a half-sentence.
    """

    name: str
    severity: str
    tells: str


@cache
def runbook_index() -> Sequence[Entry]:
    """Return all runbooks, in the order of their table."""
    return [Entry(*columns) for columns in _ROW.findall(_text("README"))]


def runbook(name: str) -> Markup | None:
    """Return a runbook as HTML; None if there is none of the name."""
    return _rendered(name) if name in {entry.name for entry in runbook_index()} else None


@cache
def _rendered(name: str) -> Markup:
    from markdown_it import MarkdownIt

    # Our own text; all the same, none of it is taken for HTML.
    rendered: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(_text(name))
    return Markup(rendered)  # noqa: S704


def _text(name: str) -> str:
    return (files("exporter.mixin") / "runbooks" / f"{name}.md").read_text(encoding="utf-8")
