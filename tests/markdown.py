"""The documents of the project, and what stands in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

NOT_OURS = {"build", "dist", "node_modules"}
"""Folders, beside the hidden ones, that hold what others wrote or what was built."""

_FENCE = re.compile(r"(?P<indent> *)```(?P<language>[^`]*)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")


class Block(NamedTuple):
    """A fenced block of a document."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Link(NamedTuple):
    """A link to something in the project."""

    file: str
    line: int
    path: str
    heading: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def documents() -> list[str]:
    """Every document, by its path from the root of the project."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(str(path) for path in found if not any(_is_foreign(part) for part in path.parts))


def blocks(document: str) -> Iterator[Block]:
    """Every fenced block of a document; fails if one is not closed."""
    opened: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(_lines(document), 1):
        fence = _FENCE.fullmatch(line)
        if opened is None and fence:
            opened, inside = (number, fence["language"].strip(), fence["indent"]), []
        elif opened and fence and fence["indent"] == opened[2] and not fence["language"]:
            yield Block(document, opened[0], opened[1], dedent("\n".join(inside)) + "\n")
            opened = None
        else:
            inside.append(line)
    assert opened is None, f"{document}:{opened and opened[0]} is not closed"


def links(document: str) -> Iterator[Link]:
    """Every link of a document that leads into the project."""
    for number, line in _prose(document):
        for match in _LINK.finditer(_CODE.sub(lambda code: "x" * len(code[0]), line)):
            path, _, heading = match["target"].partition("#")
            if not re.match(r"[a-z]+:", path):
                yield Link(document, number, path, heading)


def anchors(document: str) -> set[str]:
    """The headings of a document as a link names them, in GitHub's way."""
    titles = (line.lstrip("#").strip() for _, line in _prose(document) if re.match("#{1,6} ", line))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def table(document: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    lines = iter(_lines(document))
    assert any(line.lstrip("#").strip() == heading for line in lines), f"{document} has no {heading}"
    rows = []
    for line in lines:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    return rows[2:]


def _lines(document: str) -> list[str]:
    return (ROOT / document).read_text(encoding="utf-8").splitlines()


def _prose(document: str) -> Iterator[tuple[int, str]]:
    """The lines outside fenced blocks, with their numbers."""
    fenced = False
    for number, line in enumerate(_lines(document), 1):
        if _FENCE.fullmatch(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def _is_foreign(part: str) -> bool:
    return part.startswith(".") or part in NOT_OURS
