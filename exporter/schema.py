"""A schema as data: readers that turn YAML nodes into frozen types and find every mistake in one pass.

A schema is a tree of readers: `Scalar`s at the leaves, `ListOf`, and `Section` for a frozen dataclass. Its
fields are declared with `option`, which keeps the key's reader, default and help in one place:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class PollConfig:
        timeout: float = option(Duration(), "Time-out of one request.", default="10s")

    read("timeout: 5s", "config.yml", Section(PollConfig), outside)  # PollConfig(timeout=5.0)
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from exporter.strict_yaml import ConfigError, Entry, Mistake, Site, compose, entries, line_of, quoted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S", bound="DataclassInstance")

# Stands for a value with mistakes: it is there, only not usable.
_WRONG = object()


@dataclass(frozen=True, slots=True)
class Outside:
    """What a value may refer to outside its document; the rim, passed in.

    Attributes:
        environ: The environment's variables.
        base: The folder that relative paths start from.
        read_text: Returns the text of a file; raises OSError or UnicodeError.
        look_into: Told of every file of tokens; raises InvalidValueError to refuse it. Serving refuses none:
            such a file may come later, and change.
        look_at: Told of the ledger's URL; raises InvalidValueError to refuse it. Serving refuses none here:
            it opens the ledger, and tells what comes of it.
    """

    environ: Mapping[str, str]
    base: Path
    read_text: Callable[[Path], str]
    look_into: Callable[[Path], None] = lambda _: None
    look_at: Callable[[str], None] = lambda _: None


class InvalidValueError(ValueError):
    """Raised by `Scalar.parse`: what is wrong with the text, and how to mend it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy


class Reader(Protocol[T_co]):
    """Turns a node into a value of one type."""

    @property
    def kind(self) -> str:
        """What is to be written, in words that follow "write"."""

    def read(self, node: Node, site: Site, outside: Outside) -> T_co:
        """Return the node's value; raises ConfigError with all the mistakes in it."""


class Scalar(ABC, Generic[T]):
    """A reader of a single value."""

    # Quotes make a text of a number or a truth value.
    quotable: ClassVar[bool] = True

    @property
    @abstractmethod
    def kind(self) -> str:
        """What is to be written, in words that follow "write"."""

    @abstractmethod
    def parse(self, text: str, outside: Outside) -> T:
        """Return the value of a text; raises InvalidValueError."""

    def read(self, node: Node, site: Site, outside: Outside) -> T:
        """Return the node's value."""
        scalar = site.expect(node, ScalarNode, self.kind)
        if scalar.style and not self.quotable:
            raise ConfigError([site.mistake(node, "a text is written here", f"write {self.kind} unquoted")])
        try:
            return self.parse(scalar.value, outside)
        except InvalidValueError as invalid:
            raise ConfigError([site.mistake(node, invalid.problem, invalid.remedy)]) from None


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """A reader of a list, into a tuple without duplicates.

    Attributes:
        reader: Reads one item.
        unique: A key of the items, of which no two may have the same value.
        filled: Whether there must be an item.
    """

    reader: Reader[T]
    unique: str = ""
    filled: bool = False

    @property
    def kind(self) -> str:
        """What is to be written, in words that follow "write"."""
        return f"a list, each item {self.reader.kind}"

    def read(self, node: Node, site: Site, outside: Outside) -> tuple[T, ...]:
        """Return the items in the order written."""
        items = site.expect(node, SequenceNode, self.kind).value
        values: dict[T, None] = {}
        mistakes = list(self._repeated(items, site)) if self.unique else []
        for index, item in enumerate(items):
            try:
                values[self.reader.read(item, site.item(index), outside)] = None
            except ConfigError as error:
                mistakes += error.mistakes
        if self.filled and not items:
            mistakes.append(site.mistake(node, "the list is empty", f"write {self.kind}, or remove it"))
        if mistakes:
            raise ConfigError(mistakes)
        return tuple(values)

    def _repeated(self, items: Iterable[Node], site: Site) -> Iterator[Mistake]:
        lines: dict[str, int | None] = {}
        for index, item in enumerate(items):
            entry = entries(item, site)[0].get(self.unique) if isinstance(item, MappingNode) else None
            if entry is None or not isinstance(entry.value, ScalarNode):
                continue
            text, line = entry.value.value, line_of(entry.value)
            if text in lines:
                problem = f"{quoted(text)} is taken by the one on line {lines[text]}"
                yield site.item(index).below(self.unique).mistake_at(line, problem, "give each its own")
            lines.setdefault(text, line)


@dataclass(frozen=True, slots=True)
class Option:
    """A key of a section, with all that its documentation says.

    Attributes:
        key: The key.
        reader: Reads its value, and says what is to be written.
        about: One line of help.
        default: What stands for a missing key, written as in the file; None if nothing does.
    """

    key: str
    reader: Reader[Any]
    about: str
    default: str | None = None


def option(reader: Reader[T], about: str, *, default: str | None = None, private: bool = False) -> T:
    """Declare a field that is read from the key of its name.

    Args:
        reader: Reads the value.
        about: One line of help.
        default: What stands for a missing key, written as in the file; without it the key is required.
        private: Whether the value is left out of the section's repr.
    """
    value: Any = MISSING
    if default is not None:
        value = reader.read(compose(default, "default"), Site("default"), Outside({}, Path(), Path.read_text))
    return field(default=value, repr=not private, metadata=_metadata(Option("", reader, about, default)))  # type: ignore[no-any-return]


def optional(reader: Reader[T], about: str, *, private: bool = False) -> T | None:
    """Declare a field that is None if its key is missing; see `option`."""
    return field(default=None, repr=not private, metadata=_metadata(Option("", reader, about)))


def one_of(*choices: Option, required: bool = True) -> Any:
    """Declare a field that is read from exactly one of several keys; unless required, it can be None."""
    return field(default=MISSING if required else None, metadata=_metadata(*choices))


def options(section: "type[DataclassInstance]") -> tuple[Option, ...]:
    """Return the keys of a section in the order of their declaration."""
    return tuple(choice for each in fields(section) for choice in _choices(each))


def _metadata(*choices: Option) -> dict[str, tuple[Option, ...]]:
    return {"options": choices}


def _choices(each: "Field[Any]") -> tuple[Option, ...]:
    choices: tuple[Option, ...] = each.metadata["options"]
    return tuple(Option(one.key or each.name, one.reader, one.about, one.default) for one in choices)


@dataclass(frozen=True, slots=True)
class Need:
    """A rule of a section: at least one of these fields holds something.

    Attributes:
        fields: Their names.
        problem: What is wrong if none does.
        remedy: How to mend it.
        empty: Whether one that is written empty will do.
    """

    fields: tuple[str, ...]
    problem: str
    remedy: str
    empty: bool = False

    def met(self, values: Mapping[str, object]) -> bool:
        """Whether what is written will do."""
        return any(name in values if self.empty else values.get(name) for name in self.fields)


@dataclass(frozen=True)
class Section(Generic[S]):
    """A reader of a mapping, into a dataclass whose fields are all declared with `option` and the like."""

    target: type[S]
    need: Need | None = None
    kind: ClassVar[str] = "a mapping"

    def read(self, node: Node, site: Site, outside: Outside) -> S:
        """Return the section."""
        given, mistakes = entries(site.expect(node, MappingNode, self.kind), site)
        mistakes += self._unknown(given, site)
        values: dict[str, Any] = {}
        for each in fields(self.target):
            try:
                choice = _chosen(each, given, node, site)
                if choice is not None:
                    value = given[choice.key].value
                    values[each.name] = choice.reader.read(value, site.below(choice.key, ours=True), outside)
            except ConfigError as error:
                mistakes += error.mistakes
                values[each.name] = _WRONG
        if self.need and not self.need.met(values):
            mistakes.append(site.mistake(node, self.need.problem, self.need.remedy))
        if mistakes:
            raise ConfigError(mistakes)
        return self.target(**values)

    def _unknown(self, given: Mapping[str, Entry], site: Site) -> Iterator[Mistake]:
        known = [each.key for each in options(self.target)]
        for key, entry in given.items():
            if key not in known:
                near = get_close_matches(key, known, n=1)
                remedy = f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(known)}"
                yield site.below(key).mistake(entry.key, "unknown key", remedy)


def _chosen(each: "Field[Any]", given: Mapping[str, Entry], node: Node, site: Site) -> Option | None:
    choices = _choices(each)
    chosen = [choice for choice in choices if choice.key in given]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(choice.key for choice in choices)
    if chosen:
        both = " and ".join(choice.key for choice in chosen)
        raise ConfigError([site.mistake(node, f"{both} are given at once", f"keep exactly one of {names}")])
    if each.default is not MISSING:
        return None
    if len(choices) > 1:
        raise ConfigError([site.mistake(node, f"none of {names} is given", "give exactly one of them")])
    raise ConfigError([site.below(names).mistake(node, "missing", f"write {choices[0].reader.kind}")])


def read(text: str, file: str, reader: Reader[T], outside: Outside) -> T:
    """Return what a text says; raises ConfigError with all of its mistakes."""
    return reader.read(compose(text, file), Site(file), outside)
