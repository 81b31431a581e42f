"""The little Markdown that the pages are made of. Pure functions."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is escaped, lest it end the cell.

    >>> print(table(["a", "b"], [["1", ""]]))
    | a | b |
    | --- | --- |
    | 1 | |
    """
    return "\n".join(map(_row, (header, ["---"] * len(header), *rows)))


def code(text: str) -> str:
    """Return a text as it is typed; nothing for an empty one."""
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    """Return several texts as they are typed.

    >>> codes(["a", "b"])
    '`a`, `b`'
    """
    return ", ".join(map(code, texts))


def fenced(language: str, text: str) -> str:
    """Return a block of a language."""
    return f"```{language}\n{text.rstrip()}\n```"


def _row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return "|" + "|".join(f" {cell} " if cell else " " for cell in escaped) + "|"
