"""The part of a URL behind the question mark, read strictly: what is not understood is refused by name.

The parameters are the fields of a `Struct`, so that what is read and what the documentation says is the same.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl

from msgspec import UNSET, Meta, Struct, UnsetType, inspect

from exporter.model import TASK_TYPES, Provider, State
from exporter.report.board import Sort, Wish

MOST_TASKS: Final = 1000
"""Tasks in one answer."""

_SHOWN: Final = 40
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
_TRUTHS: Final = {"true": True, "false": False}

Q = TypeVar("Q", bound=Struct)
Name = Annotated[str, Meta(min_length=1)]

TaskType = StrEnum("TaskType", sorted({kind for kinds in TASK_TYPES.values() for kind in kinds}))  # type: ignore[misc] # TASK_TYPES is the one list of them
TaskType.__doc__ = "What kind of task it is; `other` stands for one that is not known by name."


class Order(StrEnum):
    """Which end of the order comes first."""

    ASC = "asc"
    DESC = "desc"


class NoQuery(Struct, frozen=True):
    """Nothing can be asked for."""


class TaskQuery(Struct, frozen=True):
    """Which tasks are wanted, and how many. Several values of one parameter mean "one of these".

    Attributes:
        provider: Where they run.
        account: Names of accounts in the configuration.
        state: What their phases mean.
        task_type: What kind of tasks they are.
        stalled: Only those that are stalled, or only those that are not.
        search: A part of the task's id, its phase, its reason, an asset, the project or a custom label, in
            whatever case.
        sort: What they are sorted by. By `urgency`, those that are stalled come first, then those that have
            failed. What is not known comes last either way round.
        order: `desc` turns the order round.
        offset: How many of them are left out before the first that is shown.
        limit: How many at most are shown.
    """

    provider: tuple[Provider, ...] = ()
    account: tuple[Name, ...] = ()
    state: tuple[State, ...] = ()
    task_type: tuple[TaskType, ...] = ()
    stalled: bool | UnsetType = UNSET
    search: str = ""
    sort: Sort = Sort.URGENCY
    order: Order = Order.ASC
    offset: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_TASKS)] = 100

    def wish(self) -> Wish:
        """Return which tasks are wanted."""
        return Wish(
            providers=frozenset(self.provider),
            accounts=frozenset(self.account),
            states=frozenset(self.state),
            task_types=frozenset(map(str, self.task_type)),
            stalled=None if self.stalled is UNSET else self.stalled,
            search=self.search,
            sort=self.sort,
            descending=self.order is Order.DESC,
        )


class QueryError(ValueError):
    """A query that is not understood; the message says all that is wrong with it, and what to write."""


class _WrongValueError(ValueError):
    """A value that is not understood; the message says what to write."""


def read_query(kind: type[Q], text: bytes) -> Q:
    """Read a query.

    Args:
        kind: What can be asked for: the parameters are its fields, those with tuples can be repeated.
        text: The query as it was sent, without the question mark.

    Raises:
        QueryError: there is a mistake in it.

    >>> read_query(TaskQuery, b"state=failed&state=unknown&limit=5").limit
    5
    """
    given: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict"):
            given.setdefault(name, []).append(value)
    except UnicodeDecodeError:
        raise QueryError("the query is not UTF-8; write other characters like %C3%A9") from None
    fields = _fields(kind)
    mistakes = [_unknown(name, fields) for name in given if name not in fields]
    values = {}
    for name, field in fields.items():
        if name in given:
            try:
                values[name] = _read(name, field, given[name])
            except QueryError as error:
                mistakes.append(str(error))
    if mistakes:
        raise QueryError("; ".join(mistakes))
    return kind(**values)


def _fields(kind: type[Struct]) -> Mapping[str, inspect.Type]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - it is one
    return {field.encode_name: field.type for field in described.fields}


def _unknown(name: str, known: Mapping[str, object]) -> str:
    if not known:
        return f"unknown parameter {_quoted(name)}: there are none here"
    near = get_close_matches(name[:_SHOWN], known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"the parameters are {', '.join(known)}"
    return f"unknown parameter {_quoted(name)}: {remedy}"


def _read(name: str, field: inspect.Type, given: list[str]) -> object:
    if isinstance(field, inspect.VarTupleType):
        return tuple(_value(name, field.item_type, text) for text in given)
    if len(given) > 1:
        raise QueryError(f"{name} is given {len(given)} times: write it once")
    return _value(name, field, given[0])


def _value(name: str, kind: inspect.Type, text: str) -> object:
    try:
        return _scalar(kind, text)
    except _WrongValueError as error:
        raise QueryError(f"{name} can't be {_quoted(text)}: write {error}") from None


def _scalar(kind: inspect.Type, text: str) -> object:
    match kind:
        case inspect.EnumType(cls=enum):
            choices = [str(choice.value) for choice in enum]
            if text not in choices:
                raise _WrongValueError(" or ".join(filter(None, (", ".join(choices[:-1]), choices[-1]))))
            return enum(text)
        case inspect.BoolType():
            if text not in _TRUTHS:
                raise _WrongValueError("true or false")
            return _TRUTHS[text]
        case inspect.IntType(ge=least, le=most):
            if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:  # type: ignore[operator]
                raise _WrongValueError(f"a whole number from {least} to {most}")
            return int(text)
        case inspect.StrType(min_length=length):
            if len(text) < (length or 0):
                raise _WrongValueError("something, or leave it out")
            return text
    raise TypeError(f"no parameter can be a {type(kind).__name__}")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
