"""The tables in the chart's README."""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from exporter.mixin.settings import SETTINGS
from helm.values import Value

_BEGIN: Final = "<!-- {} -->\n"
_END: Final = "<!-- end of {} -->"


def readme(text: str, values: Sequence[Value]) -> str:
    """Return the README with its tables made anew."""
    text = _filled(text, "values", values_table(values))
    return _filled(text, "settings", settings_table())


def values_table(values: Sequence[Value]) -> str:
    """Return a row for each value that can be set, with its default and what it is."""
    rows = (
        (f"`{value.name}`", f"`{json.dumps(value.default)}`", value.help) for value in values if value.help
    )
    return _table(("value", "default", ""), rows)


def settings_table() -> str:
    """Return a row for each setting of the rules."""
    rows = ((f"`{each.name}`", f"`{each.default}`", each.help) for each in SETTINGS)
    return _table(("setting", "default", ""), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def _filled(text: str, name: str, content: str) -> str:
    begin, end = _BEGIN.format(name), _END.format(name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the README has no place for its {name}: lines {begin.strip()} and {end}")
    return f"{before}{begin}\n{content}\n{end}{after}"
