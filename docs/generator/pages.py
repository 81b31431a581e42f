"""The generated pages: templates, filled in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docs.generator import commands, configuration, metrics

_FOLDER: Final = Path(__file__).parent
_PLACE: Final = re.compile(r"^\{\{(\w+)\}\}$", re.MULTILINE)

NOTE: Final = "<!-- Written by `make generate`, from the code: change it there, or in docs/generator. -->\n\n"
"""Stands first on each page."""


def pages() -> Mapping[str, str]:
    """Return the text of each generated page by the name of its file."""
    return {
        "metrics.md": _page("metrics", metrics.parts()),
        "configuration.md": _page("configuration", {**configuration.parts(), **commands.parts()}),
    }


def _page(name: str, parts: Mapping[str, str]) -> str:
    template = (_FOLDER / f"{name}.md.in").read_text(encoding="utf-8")
    return NOTE + _PLACE.sub(lambda place: parts[place[1]].rstrip("\n"), template)
