"""The parts of docs/configuration.md that come from the commands."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from docs.generator.markdown import code, codes, fenced, table
from exporter.cli import main

PROGRAM: Final = "transcoding-exporter"

_PLAIN: Final = {"float range": "number", "integer": "number", "integer range": "number", "directory": "path"}


def parts() -> Mapping[str, str]:
    """Return what each place of the template stands for."""
    return {"commands": "\n\n".join(_command(name, main.commands[name]) for name in sorted(main.commands))}


def options(command: click.Command) -> Iterator[click.Option]:
    """Yield the options of a command in the order of its `--help`."""
    return (each for each in command.params if isinstance(each, click.Option) and not each.hidden)


def _command(name: str, command: click.Command) -> str:
    pieces = [f"### {name}", fenced("text", _usage(name, command)), *_words(command.help or "")]
    rows = [_row(option) for option in options(command)]
    if rows:
        pieces.append(table(("flag", "environment", "default", "what it is"), rows))
    pieces += _words(command.epilog or "")
    return "\n\n".join(pieces)


def _usage(name: str, command: click.Command) -> str:
    pieces = command.collect_usage_pieces(click.Context(command))
    return " ".join([PROGRAM, name, *pieces])


def _words(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help; what click must not wrap is a block."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield fenced("text", paragraph.removeprefix("\b\n"))
        elif paragraph:
            yield " ".join(paragraph.split())


def _row(option: click.Option) -> Sequence[str]:
    info = option.to_info_dict()
    flags = " / ".join(code(name) for name in (*option.opts, *option.secondary_opts))
    value = _value(option, info)
    return (
        f"{flags} {value}".strip(),
        code(str(option.envvar or "")),
        codes(_defaults(info["default"])),
        option.help or "",
    )


def _value(option: click.Option, info: Mapping[str, Any]) -> str:
    if option.is_flag:
        return ""
    if choices := info["type"].get("choices"):
        return f"one of {', '.join(choices)}"
    return option.metavar or _PLAIN.get(option.type.name, option.type.name).upper()


def _defaults(default: object) -> Iterator[str]:
    """Yield what stands for a missing flag, as it would be typed; nothing for a switch that is off."""
    for one in default if isinstance(default, tuple) else (default,):
        if isinstance(one, str | int | float) and not isinstance(one, bool) and one != "":
            yield str(one)
