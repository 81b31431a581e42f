"""The chart's values as `values.yaml` declares them: each with its default and the comment above it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node

_MARK: Final = "# -- "


@dataclass(frozen=True, slots=True)
class Value:
    """One value.

    Attributes:
        path: Its keys from the top.
        default: What it is unless set.
        help: What it is, in Markdown; empty for a section, which only holds others.
    """

    path: tuple[str, ...]
    default: Any
    help: str

    @property
    def name(self) -> str:
        """The keys, joined by dots."""
        return ".".join(self.path)


def read(text: str) -> Sequence[Value]:
    """Return all values in the order of the file, a section before what it holds.

    Raises:
        ValueError: one has no comment that tells what it is.
    """
    return tuple(_read(yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text), text.splitlines(), (), ""))


def _read(
    node: Node | None, default: Any, lines: Sequence[str], path: tuple[str, ...], about: str
) -> Iterator[Value]:
    if path:
        yield Value(path, default, about)
    if about or not isinstance(node, MappingNode):
        return
    for key, value in node.value:
        below = (*path, str(key.value))
        about = _comment(lines, key.start_mark.line)
        section = isinstance(value, MappingNode) and value.value
        if not about and not section:
            raise ValueError(f'{".".join(below)}: no comment above it begins with "{_MARK.strip()}"')
        yield from _read(value, default[below[-1]], lines, below, about)


def _comment(lines: Sequence[str], line: int) -> str:
    """Return the text of the comment right above a line (counted from 0); empty if it has none."""
    words: list[str] = []
    for above in reversed(lines[:line]):
        text = above.strip()
        if text.startswith(_MARK):
            return " ".join([text.removeprefix(_MARK), *reversed(words)])
        if not re.match(r"# ?\S", text):
            break
        words.append(text.removeprefix("#").strip())
    return ""
