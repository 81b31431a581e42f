"""A file of tokens, read to find every mistake in it: what serving would leave out is one as well."""

from codecs import BOM_UTF8
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from exporter.config_values import Token
from exporter.schema import InvalidValueError, ListOf, Outside, Section, option, read
from exporter.strict_yaml import ConfigError, Entry, Mistake, Site, entries
from exporter.tracking.token_labels import label_mistake
from exporter.tracking.tokens import FileSource, FormatError, SourceError


@dataclass(frozen=True)
class _Target(Token):
    """A token, with or without blanks around it.

    Attributes:
        json: Whether it stands in JSON.
    """

    json: bool = False

    def read(self, node: Node, site: Site, outside: Outside) -> str:
        """Return the node's token."""
        return super().read(_text(node, site, self.kind, self.json), site, outside)

    def parse(self, text: str, outside: Outside) -> str:
        """Return the token."""
        return super().parse(text.strip(), outside)


@dataclass(frozen=True)
class _LabelsReader:
    """Reads the labels of a group; those that begin with `__`, for discovery alone, need only be texts.

    Attributes:
        json: Whether they stand in JSON.
    """

    json: bool
    kind: ClassVar[str] = "a mapping of names to texts"

    def read(self, node: Node, site: Site, outside: Outside) -> tuple[tuple[str, str], ...]:
        """Return the labels as they are written."""
        given, mistakes = entries(site.expect(node, MappingNode, self.kind), site)
        for name, entry in given.items():
            mistakes += self._mistakes(name, entry, site.below(name))
        labels = {name: str(entry.value.value) for name, entry in given.items() if not name.startswith("__")}
        if not mistakes and (wrong := label_mistake(labels)):
            mistakes.append(site.mistake(node, wrong, "remove the others"))
        if mistakes:
            raise ConfigError(mistakes)
        return tuple(labels.items())

    def _mistakes(self, name: str, entry: Entry, site: Site) -> Iterator[Mistake]:
        try:
            value = _text(entry.value, site, "a text", self.json).value
        except ConfigError as error:
            yield from error.mistakes
            return
        if not name.startswith("__") and (wrong := label_mistake({name: value})):
            yield site.mistake(entry.key, wrong, "mend it, or remove the label")


def _text(node: Node, site: Site, kind: str, json: bool) -> ScalarNode:
    """Return a node that holds a text; raises ConfigError if not. In JSON, what is not in quotes is none."""
    scalar = site.expect(node, ScalarNode, kind)
    if json and not (scalar.style and scalar.tag == _STR):
        what = "a truth value" if scalar.value in ("true", "false") else "a number"
        raise ConfigError([site.mistake(node, f"{what} is written here", f"write {kind} in quotes")])
    return scalar


def _groups(*, json: bool) -> ListOf[Any]:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Group:
        targets: tuple[str, ...] = option(ListOf(_Target(json)), "The tokens.")
        labels: tuple[tuple[str, str], ...] = option(
            _LabelsReader(json), "Custom labels of all of them.", default="{}"
        )

    return ListOf(_GroupReader(Group))


@dataclass(frozen=True)
class _GroupReader(Section[Any]):
    """Reads a group."""

    kind: ClassVar[str] = 'a group like {"targets": ["TOKEN"]}'


_JSON: Final = _groups(json=True)
_YAML: Final = _groups(json=False)
"""To YAML, a number is a text where one belongs."""

_STR: Final = "tag:yaml.org,2002:str"


class TokenFiles:
    """Looks into files of tokens, each once.

    Attributes:
        tokens: The tokens of each file.
        mistakes: What is to be mended in the files.
    """

    def __init__(self) -> None:
        """Look into nothing yet."""
        self.tokens: dict[Path, Collection[str]] = {}
        self.mistakes: list[Mistake] = []

    def look_into(self, path: Path) -> None:
        """Take up what a file says, and its mistakes; raises InvalidValueError if it can't be read at all."""
        if path in self.tokens:
            return
        refusal = []
        try:
            self.tokens[path] = FileSource(path).read() or ()
        except FormatError as error:
            self.tokens[path] = ()
            refusal = [Mistake(str(path), None, "", error.problem, error.remedy)]
        except SourceError as error:
            raise InvalidValueError(str(error), "put a file there that this process may read") from None
        # What only serving minds, such as an alias, has no line.
        self.mistakes += _mistakes(path) or refusal


def _mistakes(path: Path) -> Sequence[Mistake]:
    """Return the mistakes in a file, each with its line, by reading it as YAML: JSON can be read so too."""
    data = path.read_bytes().removeprefix(BOM_UTF8)
    if not data.strip():
        return [Mistake(str(path), None, "", "the file is empty", "write [] if there is no token yet")]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return [Mistake(str(path), line, "", "not UTF-8 text", "save the file as UTF-8")]
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return [_of_syntax(one) if _is_of_syntax(one) else one for one in _found(text, path, _YAML)]
    found = _found(text, path, _JSON)
    if not any(map(_is_of_syntax, found)):
        return found
    # It holds what only JSON can, such as an emoji written as two escapes. Written anew, its lines are lost.
    anew = yaml.safe_dump(value, default_style='"')
    return [replace(one, line=None) for one in _found(anew, path, _JSON)]


def _found(text: str, path: Path, groups: ListOf[Any]) -> Sequence[Mistake]:
    try:
        read(text, str(path), groups, Outside({}, Path(), Path.read_text))
    except ConfigError as error:
        return error.mistakes
    return ()


def _is_of_syntax(mistake: Mistake) -> bool:
    return mistake.problem.startswith("not YAML")


def _of_syntax(mistake: Mistake) -> Mistake:
    problem = mistake.problem.replace("not YAML", "neither JSON nor YAML", 1)
    return replace(mistake, problem=problem, remedy=FormatError.remedy)
