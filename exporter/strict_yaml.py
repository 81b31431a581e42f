"""YAML as nodes that know their line, and the mistakes that are found in them.

The text is composed into nodes and never constructed into objects: a scalar stays the text it was written as
(a token of digits is no number), and a duplicate key is seen. What could hang or end the process is refused
here, so that readers of nodes need not care.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import yaml
from yaml.composer import ComposerError
from yaml.events import CollectionEndEvent, CollectionStartEvent, DocumentStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError
from yaml.scanner import ScannerError

N = TypeVar("N", bound=Node)

# libyaml composes by recursion in C: without a limit, a file of brackets ends the process.
MAX_DEPTH = 32
MAX_VALUES = 1_000_000

_TAG = "tag:yaml.org,2002:"
_NULL = _TAG + "null"
_MERGE = _TAG + "merge"
_KNOWN_TAGS = {
    _TAG + name
    for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "seq", "map")
}
_SHAPES = {ScalarNode: "a single value", SequenceNode: "a list", MappingNode: "a mapping"}
_KEY = re.compile(r"[A-Za-z][A-Za-z_.-]{0,29}")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to mend.

    Attributes:
        file: The file it is in, or what stands for it.
        line: The line in the file; None if it is about no line in particular.
        key: The path of the key, like `livepeer[0].lookback`; "" for the document itself.
        problem: What is wrong.
        remedy: How to mend it.
    """

    file: str
    line: int | None
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.key, f"{self.problem}; {self.remedy}") if part)


class ConfigError(Exception):
    """A configuration that cannot be used, with all of its mistakes in the order of their lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line or 0))
        super().__init__("\n".join(map(str, self.mistakes)))


def quoted(text: str, most: int = 16) -> str:
    """Return a text as mistakes show it: safe for a terminal, and too short to be a whole secret."""
    text = text if len(text) <= most else f"{text[:most]}…"
    return f'"{text}"' if text.isprintable() else ascii(text)


@dataclass(frozen=True, slots=True)
class Site:
    """Where in a document a value stands."""

    file: str
    key: str = ""

    def below(self, name: str, *, ours: bool = False) -> "Site":
        """Return the site of a key of this mapping; one of `ours` is shown whatever it looks like."""
        # A long word with digits in a key's place is likely a secret that lost its key.
        shown = name if ours or _KEY.fullmatch(name) else quoted(name, 4)
        return replace(self, key=f"{self.key}.{shown}" if self.key else shown)

    def item(self, index: int) -> "Site":
        """Return the site of an item of this list."""
        return replace(self, key=f"{self.key}[{index}]")

    def mistake(self, node: Node, problem: str, remedy: str) -> Mistake:
        """Return a mistake about a node here."""
        return self.mistake_at(line_of(node), problem, remedy)

    def mistake_at(self, line: int | None, problem: str, remedy: str) -> Mistake:
        """Return a mistake about a line."""
        return Mistake(self.file, line, self.key, problem, remedy)

    def expect(self, node: Node, shape: type[N], kind: str) -> N:
        """Return a node that has this shape; raises ConfigError, with `kind` saying what to write, if not."""
        if node.tag == _NULL:
            raise ConfigError([self.mistake(node, "nothing is written here", f"write {kind}, or remove it")])
        if node.tag not in _KNOWN_TAGS:
            raise ConfigError(
                [self.mistake(node, "a YAML tag is written here", "remove the word with the !")]
            )
        if not isinstance(node, shape):
            raise ConfigError([self.mistake(node, f"{_SHAPES[type(node)]} is written here", f"write {kind}")])
        return node


class Entry(NamedTuple):
    """A key of a mapping with its value."""

    key: ScalarNode
    value: Node


def line_of(node: Node) -> int | None:
    """Return the line on which a node begins."""
    return node.start_mark.line + 1 if node.start_mark else None


def entries(mapping: MappingNode, site: Site) -> tuple[dict[str, Entry], list[Mistake]]:
    """Return a mapping's entries by key, merge keys (`<<`) resolved, and what is wrong with the keys."""
    own: dict[str, Entry] = {}
    merged: list[Node] = []
    mistakes: list[Mistake] = []
    for key, value in mapping.value:
        if key.tag == _MERGE:
            merged += value.value if isinstance(value, SequenceNode) else [value]
        elif not isinstance(key, ScalarNode):
            mistakes.append(
                site.mistake(key, f"{_SHAPES[type(key)]} stands for a key", "write a single word")
            )
        elif key.value in own:
            problem = f"written twice, first on line {line_of(own[key.value].key)}"
            mistakes.append(site.below(key.value).mistake(key, problem, "keep one of them"))
        else:
            own[key.value] = Entry(key, value)
    for other in merged:
        if isinstance(other, MappingNode):
            inherited, wrong = entries(other, site)
            own = inherited | own
            mistakes += wrong
        else:
            mistakes.append(
                site.mistake(other, "<< can only merge mappings", "give it an alias of a mapping")
            )
    return own, mistakes


def compose(text: str, file: str) -> Node:
    """Return the only document of a text; an empty one is an empty mapping.

    Raises:
        ConfigError: If the text is not YAML, or unfolds without end.
    """
    site = Site(file)
    try:
        data = text.encode()
        _refuse_depth(data, site)
        root = yaml.compose(data, Loader=yaml.CSafeLoader)
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ConfigError([site.mistake_at(line, "not UTF-8 text", "save the file as UTF-8")]) from None
    except ReaderError as error:
        line = data.count(b"\n", 0, error.position) + 1
        remedy = "remove the character that does not print"
        raise ConfigError([site.mistake_at(line, "not YAML: a control character", remedy)]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_mistake(error, text, site)]) from None
    if root is None or root.tag == _NULL:
        return MappingNode(_TAG + "map", [], None, None)
    _Unfolding(site).measure(root)
    return root


def _refuse_depth(data: bytes, site: Site) -> None:
    depth = documents = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        documents += isinstance(event, DocumentStartEvent)
        line = event.start_mark.line + 1 if event.start_mark else None
        if depth > MAX_DEPTH:
            raise ConfigError([site.mistake_at(line, f"nested more than {MAX_DEPTH} deep", "flatten it")])
        if documents > 1:
            remedy = "keep one; remove the --- between them"
            raise ConfigError([site.mistake_at(line, "a second document begins", remedy)])


def _syntax_mistake(error: yaml.MarkedYAMLError, text: str, site: Site) -> Mistake:
    # What a scanner was busy with began where the quote or the key is that has no end.
    begun = error.context_mark if isinstance(error, ScannerError) else None
    mark = begun or error.problem_mark
    index = mark.line if mark else 0
    if isinstance(error, ComposerError):
        if error.context:
            return site.mistake_at(index + 1, "an anchor (&) is defined twice", "give each its own name")
        remedy = "define its anchor (&) above; quote a text that begins with *"
        return site.mistake_at(index + 1, "an alias (*) without an anchor", remedy)
    lines = text.splitlines()
    if index < len(lines) and re.match(r" *\t", lines[index]):
        return site.mistake_at(index + 1, "not YAML: a tab indents the line", "indent with blanks")
    # libyaml's own words are constant: they never repeat what is written.
    words = ", ".join(word for word in (error.context, error.problem) if word)
    return site.mistake_at(index + 1, f"not YAML: {words}", "mend it; quote a text that holds : or #")


class _Unfolding:
    """Measures a document with its aliases unfolded, at the cost of the document as written."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sizes: dict[Node, tuple[int, int] | None] = {}

    def measure(self, node: Node) -> tuple[int, int]:
        """Return the number of values and the depth of a node; raises ConfigError if one is too large."""
        if isinstance(node, ScalarNode):
            return 1, 0
        if node in self._sizes:
            known = self._sizes[node]
            if known is None:
                raise self._refused(node, "an alias stands inside its own anchor", "write it out")
            return known
        self._sizes[node] = None
        size, depth = 1, 0
        for child in _children(node):
            below = self.measure(child)
            size, depth = size + below[0], max(depth, below[1])
        if size > MAX_VALUES:
            raise self._refused(node, f"unfolds to more than {MAX_VALUES} values", "use fewer aliases")
        if depth >= MAX_DEPTH:
            raise self._refused(node, f"aliases nest more than {MAX_DEPTH} deep", "flatten it")
        self._sizes[node] = size, depth + 1
        return size, depth + 1

    def _refused(self, node: Node, problem: str, remedy: str) -> ConfigError:
        return ConfigError([self._site.mistake(node, problem, remedy)])


def _children(node: Node) -> Iterable[Node]:
    if isinstance(node, MappingNode):
        return (child for pair in node.value for child in pair)
    return node.value  # type: ignore[no-any-return]
