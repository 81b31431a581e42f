"""JSON Schema of the exporter's configuration, made of the readers that read it."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter.config import Config
from exporter.config_values import Choice, Duration, Flag, Number
from exporter.schema import ListOf, Option, Reader, Scalar, Section, options

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Schema = Mapping[str, Any]

_UNITS: Final = ("y", "w", "d", "h", "m", "s", "ms")

DURATION: Final[Schema] = {
    "type": ["string", "integer"],
    "pattern": f"^(0|{''.join(f'([0-9]+{unit})?' for unit in _UNITS)})$",
    "minLength": 1,
    # Of numbers, only this one needs no unit.
    "maximum": 0,
}
"""A duration as Prometheus and the exporter write one."""


def config_schema() -> Schema:
    """Return the schema of the whole configuration."""
    return _section(Config)


def _section(target: "type[DataclassInstance]") -> Schema:
    required = [each.name for each in fields(target) if each.default is MISSING and _is_plain(each.metadata)]
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {choice.key: _option(choice) for choice in options(target)},
    }
    return schema | ({"required": required} if required else {})


def _is_plain(metadata: Mapping[str, Any]) -> bool:
    # Which one of several keys is given, the exporter asks.
    return len(metadata["options"]) == 1


def _option(choice: Option) -> Schema:
    described = {} if choice.default is None else {"default": yaml.safe_load(choice.default)}
    return {"description": choice.about, **_reader(choice.reader, choice.default), **described}


def _reader(reader: Reader[Any], default: str | None = None) -> Schema:
    match reader:
        case Section(target=target):
            return _section(target)
        case ListOf(reader=item, filled=filled):
            return {"type": "array", "items": _reader(item)} | ({"minItems": 1} if filled else {})
        case Flag():
            return {"type": "boolean"}
        case Number(least=least, most=most):
            return {"type": "integer", "minimum": least, "maximum": most}
        case Duration():
            return DURATION
        case Choice():
            members: type[StrEnum] = reader.members
            return {"type": "string", "enum": [*members]}
        case Scalar():
            return {"type": "string", "minLength": 1}
    # A reader of its own kind: its default shows what can be written.
    if isinstance(yaml.safe_load(default or ""), list):
        return {"type": "array", "items": DURATION, "minItems": 1}
    return {**DURATION, "type": ["string", "integer", "object"], "additionalProperties": DURATION}
