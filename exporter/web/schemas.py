"""JSON schemas of our types, with what their docstrings say of each attribute. Pure."""

import inspect
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

import msgspec

REFERENCE: Final = "#/components/schemas/{name}"

# `name: text` or `name, name: text`, with what goes on in further lines, which stand deeper.
_ATTRIBUTE: Final = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {8}.*)*)$", re.MULTILINE)


def schemas(types: Iterable[type]) -> Mapping[str, dict[str, Any]]:
    """Return the schemas of some types and of all that they are made of, by the names of the types."""
    wanted = list(types)
    _, components = msgspec.json.schema_components(wanted, ref_template=REFERENCE)
    known = {kind.__name__: kind for root in wanted for kind in _made_of(msgspec.inspect.type_info(root))}
    return {name: _described(schema, known[name]) for name, schema in sorted(components.items())}


def summary(kind: type) -> str:
    """Return what the docstring of a type says before it comes to the attributes."""
    return _flowing(inspect.getdoc(kind) or "").partition("\n\nAttributes:")[0]


def attributes(kind: type) -> Mapping[str, str]:
    """Return what the docstring of a type says of each attribute, by name.

    >>> from exporter.report.records import PollError
    >>> attributes(PollError)["times"]
    'How many requests failed so.'
    """
    section = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")[2]
    return {
        name: " ".join(text.split())
        for names, text in _ATTRIBUTE.findall(section)
        for name in names.split(", ")
    }


def _described(schema: dict[str, Any], kind: type) -> dict[str, Any]:
    told = attributes(kind)
    described = {**schema, "description": summary(kind)}
    if issubclass(kind, Enum):
        described["type"] = "string"
    if "properties" in schema:
        described["properties"] = {
            name: {**field, "description": told[name]} for name, field in schema["properties"].items()
        }
    return described


def _flowing(text: str) -> str:
    """Return a text whose paragraphs are a line each."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text).replace("\n\nAttributes: ", "\n\nAttributes:")


def _made_of(kind: msgspec.inspect.Type) -> Iterable[type]:
    """Yield the types with names that a type is made of."""
    match kind:
        case msgspec.inspect.StructType(cls=cls, fields=fields):
            yield cls
            for field in fields:
                yield from _made_of(field.type)
        case msgspec.inspect.EnumType(cls=cls):
            yield cls
        case msgspec.inspect.UnionType(types=types):
            for one in types:
                yield from _made_of(one)
        case msgspec.inspect.ListType(item_type=item) | msgspec.inspect.VarTupleType(item_type=item):
            yield from _made_of(item)
