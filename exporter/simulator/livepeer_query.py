"""The parameters of Livepeer's task list: filters, order, limit and cursor, as its server takes them."""

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from exporter.simulator.livepeer_status import LivepeerStep
from exporter.simulator.livepeer_task import LivepeerTask

DEFAULT_LIMIT = 20
MAX_LIMIT = 1000
DEFAULT_ORDER = "updatedAt-true,createdAt-true"

Row = tuple[LivepeerTask, LivepeerStep]
Condition = Callable[[Row], bool]

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_TIMES: Mapping[str, Callable[[Row], int]] = {
    "createdAt": lambda row: row[0].created_at,
    "updatedAt": lambda row: row[1].updated_at,
}
_TEXTS = frozenset({"id", "name", "type", "inputAssetId", "outputAssetId", "projectId", "userId"})


class BadFilterError(ValueError):
    """The server cannot read the filters: it answers 400 with this text."""


class QueryError(Exception):
    """The database cannot run the query: the server answers 500."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list.

    Attributes:
        rows: The tasks on it, each with what readers see of it.
        cursor: The next page's cursor, `undefined` after a page that is not full; None on an empty page.
        total: Tasks on all pages.
    """

    rows: list[Row]
    cursor: str | None
    total: int


def select(rows: Iterable[Row], query: Mapping[str, str]) -> Page:
    """Return the page that a query asks for.

    Args:
        rows: Everything that the account's readers see.
        query: The parameters; unknown ones are ignored.

    Raises:
        BadFilterError: If `filters` cannot be read.
        QueryError: If a cursor or a time is not a number.
    """
    conditions = filter_conditions(query.get("filters", ""))
    cursor = query.get("cursor", "")
    offset = 0
    if "skip" in cursor:
        offset = _offset(cursor)
    elif cursor:
        # Any other cursor is taken for an id, the literal `undefined` of a last page's Link included.
        conditions.append(lambda row: row[0].id > cursor)
    found = [row for row in rows if all(condition(row) for condition in conditions)]
    _sort(found, query.get("order") or DEFAULT_ORDER)
    limit = _limit(query.get("limit", ""))
    page = found[offset : offset + limit]
    return Page(page, _next_cursor(page, limit, offset), len(found))


def filter_conditions(text: str) -> list[Condition]:
    """Return the conditions that the `filters` parameter sets.

    Args:
        text: The parameter as the query string gives it, so decoded once; the server decodes it again.

    Raises:
        BadFilterError: If it cannot be read.
        QueryError: If a time is compared with what is not a number.
    """
    if not text:
        return []
    filters = _json(text)
    if not isinstance(filters, list):
        raise BadFilterError("Error: must be an array")
    conditions: list[Condition] = []
    for item in filters:
        if not isinstance(item, dict):
            raise BadFilterError("TypeError: Cannot use 'in' operator to search for 'value'")
        conditions.extend(_conditions(item))
    return conditions


def _json(text: str) -> Any:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise BadFilterError("URIError: URI malformed")
    try:
        return json.loads(unquote_to_bytes(text).decode())
    except UnicodeDecodeError:
        raise BadFilterError("URIError: URI malformed") from None
    except json.JSONDecodeError:
        raise BadFilterError("SyntaxError: Unexpected token in JSON at position 0") from None


def _conditions(item: Mapping[str, Any]) -> list[Condition]:
    name = str(item.get("id"))
    if "value" not in item:
        raise BadFilterError(f'Error: missing filter value for id "{name}"')
    value = item["value"]
    if name in _TIMES:
        return _time_conditions(_TIMES[name], value)
    if name in _TEXTS:
        return [_text_condition(name, value)]
    raise BadFilterError(f'Error: unknown field: "{name}"')


def _time_conditions(time: Callable[[Row], int], value: Any) -> list[Condition]:
    comparisons = value if isinstance(value, dict) else {"": value}
    conditions = []
    for key, bound in comparisons.items():
        compare = _COMPARISONS.get(key, operator.eq if key == "" else None)
        if compare is None:
            raise BadFilterError(f'Error: unknown comparison: "{key}"')
        conditions.append(_time_condition(time, compare, bound))
    return conditions


def _time_condition(time: Callable[[Row], int], compare: Callable[[Any, Any], bool], bound: Any) -> Condition:
    if isinstance(bound, str | list | dict):
        raise QueryError
    if bound is None or isinstance(bound, bool):
        return lambda _: False
    return lambda row: compare(time(row), bound)


def _text_condition(name: str, value: Any) -> Condition:
    if name == "name" or not isinstance(value, str | int):
        # Tasks have no name, and a list of types becomes one text that no task's type equals.
        return lambda _: False
    wanted = str(value)
    return lambda row: row[0].fixed.get(name) == wanted


def _offset(cursor: str) -> int:
    text = cursor.replace("skip", "", 1)
    if not text.strip().isdecimal():
        raise QueryError
    return int(text)


def _limit(text: str) -> int:
    # JavaScript's parseInt: leading digits count, whatever follows.
    digits = re.match(r"\s*[+-]?\d+", text)
    limit = int(digits[0]) if digits else 0
    return min(limit, MAX_LIMIT) if limit >= 1 else DEFAULT_LIMIT


def _next_cursor(page: list[Row], limit: int, offset: int) -> str | None:
    if not page:
        return None
    return f"skip{offset + limit}" if len(page) == limit else "undefined"


def _sort(rows: list[Row], order: str) -> None:
    """Sort in place; an order of which no part is known becomes ascending id."""
    parts = [part.split("-") for part in order.split(",")]
    known = [(part[0], part[1] == "true") for part in parts if len(part) == 2 and _sortable(part[0])]
    for name, descending in reversed(known or [("id", False)]):
        if name in _TIMES:
            rows.sort(key=_TIMES[name], reverse=descending)
        else:
            rows.sort(key=lambda row: _text_key(row, name, descending), reverse=descending)


def _sortable(name: str) -> bool:
    return name in _TIMES or name in _TEXTS


def _text_key(row: Row, name: str, descending: bool) -> tuple[bool, str]:
    """Tasks without the field come last in either direction (`NULLS LAST`)."""
    value = row[0].fixed.get(name)
    return (value is not None) if descending else (value is None), str(value or "")
