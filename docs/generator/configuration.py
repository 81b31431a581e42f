"""The parts of docs/configuration.md that come from the schemas."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

from docs.generator.config_facts import AT_START, EXAMPLES, WEB_EXAMPLES
from docs.generator.markdown import code, table
from exporter.config import Config
from exporter.config_sections import StallConfig
from exporter.guard.web_config import WebConfig
from exporter.schema import ListOf, Option, Reader, Section, options


class Key(NamedTuple):
    """A key of a file, with where it stands.

    Attributes:
        path: The keys on the way to it, and its own, joined by dots.
        option: What the schema says about it.
        need: Whether it has to be there, in a word or two; "" if it need not.
        section: The keys below it are a section's; None if it holds a value.
    """

    path: str
    option: Option
    need: str
    section: type[Any] | None

    @property
    def parent(self) -> str:
        """The path of the section in which it stands; "" for the file itself."""
        return self.path.rpartition(".")[0]


def parts() -> Mapping[str, str]:
    """Return what each place of the template stands for."""
    ours, web = list(keys(Config)), list(keys(WebConfig))
    sections = ("poll", "metrics", "storage", "qencode", "livepeer")
    web_sections = ("tls_server_config", "http_server_config", "rate_limit")
    return {
        "sections": table(
            ("key", "what it is"), ((code(key.path), key.option.about) for key in ours if not key.parent)
        ),
        **{name: _table(ours, name, EXAMPLES) for name in sections},
        "web": _table(web, "", WEB_EXAMPLES),
        **{name: _table(web, name, WEB_EXAMPLES) for name in web_sections},
    }


def keys(section: type[Any], path: str = "") -> Iterator[Key]:
    """Yield every key of a section, each before those below it."""
    needs = dict(_needs(section))
    for option in options(section):
        below = _section(option.reader)
        key = Key(f"{path}.{option.key}".lstrip("."), option, needs.get(option.key, ""), below)
        yield key
        if key.section:
            yield from keys(key.section, key.path)


def _needs(section: type[Any]) -> Iterator[tuple[str, str]]:
    for each in fields(section):
        choices: tuple[Option, ...] = each.metadata["options"]
        if each.default is MISSING:
            need = "required" if len(choices) == 1 else f"one of {len(choices)} is required"
            yield from ((choice.key or each.name, need) for choice in choices)


def _section(reader: Reader[Any]) -> type[Any] | None:
    """Return the section that a reader reads; None if it reads a value."""
    if isinstance(reader, ListOf):
        return _section(reader.reader)
    if isinstance(reader, Section):
        target: type[Any] = reader.target
        return target
    if hasattr(reader, "section"):
        return _section(reader.section)
    return StallConfig if reader.kind == "a duration, or one for each state" else None


def _table(every: list[Key], section: str, examples: Mapping[str, str]) -> str:
    """Return the keys of a section and of those below it; or, of the file itself, its own ones."""
    of_section: Callable[[Key], bool] = (
        (lambda key: key.path.startswith(f"{section}.")) if section else (lambda key: not key.parent)
    )
    rows = (_row(key, section, examples) for key in every if of_section(key))
    return table(("key", "write", "default", "example", "what it is"), rows)


def _row(key: Key, section: str, examples: Mapping[str, str]) -> tuple[str, ...]:
    about = key.option.about
    if key.path in AT_START:
        about += " **Takes effect at the next start.**"
    return (
        code(key.path.removeprefix(f"{section}.")),
        key.option.reader.kind,
        _default(key),
        code(examples.get(key.path, "")),
        about,
    )


def _default(key: Key) -> str:
    match key.option.default:
        case None | "[]" | "{}":
            return key.need or "none"
        case default:
            return code(default)
