"""Which Qencode tokens to watch, from every source there is: configuration, file, discovery, our API.

File and discovery have the formats of Prometheus' `file_sd` and `http_sd`: a list of groups of targets; a
target is a token, and the group's labels are its custom ones. A source that fails keeps its last good list
and leaves the others alone. A token of several sources is one task.
"""

import stat
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog
import yaml

from exporter.model import Account, Clock
from exporter.tracking.past import NO_PAST, Past
from exporter.tracking.token_labels import Labels, custom_labels, is_token

REFRESH_INTERVAL: Final = 10.0
"""Seconds for which what a discovery over HTTP answered is good."""

_MAX_DEPTH: Final = 16
_MAX_FILE: Final = 32 * 1024 * 1024

_NO_LABELS: Final[Labels] = MappingProxyType({})

_log = structlog.get_logger()


class WatchedToken(NamedTuple):
    """What is known about a token before anybody is asked.

    Attributes:
        since: Since when it is watched (steady seconds).
        labels: The custom labels of its task, sorted by name.
    """

    since: float
    labels: tuple[tuple[str, str], ...] = ()


class SourceError(Exception):
    """A source of tokens that can't be read; the message says why and is fit to be logged."""


class FormatError(SourceError):
    """A source that can be read, but says no list of tokens.

    Attributes:
        problem: What is wrong.
        remedy: What would be right.
    """

    remedy: Final = 'write it like [{"targets": ["TOKEN"]}]'

    def __init__(self, problem: str, file: Path | None = None) -> None:
        """Tell what is wrong, and in which file if it is one."""
        super().__init__(f"{file}: {problem}; {self.remedy}" if file else f"{problem}; {self.remedy}")
        self.problem = problem


class Source(Protocol):
    """A place where tokens come from."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    def read(self) -> Mapping[str, Labels] | None:
        """Return all its tokens with their labels; None if they are what they were. Raises `SourceError`."""


class FixedSource:
    """The tokens of the configuration."""

    name = "task_tokens"

    def __init__(self, tokens: Collection[str]) -> None:
        self._tokens: Mapping[str, Labels] | None = dict.fromkeys(tokens, _NO_LABELS)

    def read(self) -> Mapping[str, Labels] | None:
        """Return the tokens, once."""
        tokens, self._tokens = self._tokens, None
        return tokens


class FileSource:
    """A file in the format of `file_sd`, JSON or YAML, read again when it changes."""

    name = "task_tokens_file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, ...] | None = None

    def read(self) -> Mapping[str, Labels] | None:
        """Return the tokens if the file changed."""
        # Unset until this version turns out to be good: one that was good is read again once it is back.
        good, self._version = self._version, None
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
            if version == good:
                self._version = good
                return None
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE:
                raise SourceError(f"{self._path}: not a regular file of at most {_MAX_FILE} bytes")
            text = self._path.read_bytes()
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from None
        tokens = self._parse(text)
        self._version = version
        return tokens

    def _parse(self, text: bytes) -> Mapping[str, Labels]:
        try:
            return read_groups(_load(text))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}: " if mark else ""
            raise FormatError(f"{where}neither JSON nor YAML", self._path) from None
        except (msgspec.ValidationError, RecursionError) as error:
            raise FormatError(str(error), self._path) from None


class HttpSource:
    """A discovery in the format of `http_sd`."""

    name = "task_tokens_http"

    def __init__(self, fetch: Callable[[], bytes], clock: Clock) -> None:
        """Ask nothing yet; `fetch` returns the body of the answer or raises `SourceError`."""
        self._fetch = fetch
        self._clock = clock
        self._good_until = float("-inf")

    def read(self) -> Mapping[str, Labels] | None:
        """Return the tokens, unless they were read a moment ago."""
        if self._clock.monotonic() < self._good_until:
            return None
        try:
            return read_groups(msgspec.json.decode(self._fetch()))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FormatError(str(error)) from None
        finally:
            # From the end: one that takes as long as the interval must not be asked without a pause.
            self._good_until = self._clock.monotonic() + REFRESH_INTERVAL


class _Group(msgspec.Struct):
    targets: list[str]
    labels: dict[str, str] = {}


class GivenSource:
    """The tokens that were given by our API."""

    name = "api"

    def __init__(self, tokens: Callable[[], Mapping[str, Labels]]) -> None:
        """Ask nothing yet; `tokens` returns what was given."""
        self._given = tokens
        self._before: Mapping[str, Labels] | None = None

    def read(self) -> Mapping[str, Labels] | None:
        """Return the tokens, if they are others than before."""
        given = self._given()
        if given == self._before:
            return None
        self._before = given
        return given


def read_groups(value: object) -> Mapping[str, Labels]:
    """Return the tokens of a list of target groups, with their labels. Raises `msgspec.ValidationError`."""
    tokens: dict[str, Labels] = {}
    for group in msgspec.convert(value, list[_Group]):
        for token in map(str.strip, group.targets):
            # Not a dictionary for each of 100,000 tokens.
            tokens[token] = {**tokens[token], **group.labels} if token in tokens else group.labels
    return tokens


def _load(text: bytes) -> object:
    """Read JSON or YAML, whatever the editor put in front."""
    text = text.removeprefix(BOM_UTF8)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _check_depth(text)
        # Every scalar as the text it is: a token of digits is no number, and none is a date.
        return yaml.load(text, yaml.CBaseLoader)  # noqa: S506 - it makes texts, lists and maps, nothing else


def _check_depth(text: bytes) -> None:
    """Refuse, by the stream of events, what would end the process or keep it busy when it is built."""
    depth = 0
    for event in yaml.parse(text, yaml.CBaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            raise RecursionError("nested too deeply, or with aliases")


class Tokens:
    """The tokens of one account, from all its sources."""

    def __init__(
        self,
        account: Account,
        sources: Iterable[Source],
        clock: Clock,
        begun: float,
        owns: Callable[[str], bool] = lambda _: True,
        past: Past = NO_PAST,
    ) -> None:
        """Ask nothing yet.

        Args:
            account: The account.
            sources: Where its tokens come from.
            clock: For the times.
            begun: When the tokens begin to be watched (steady seconds).
            owns: Whether a token is for this exporter; others may share the account.
            past: Of the tokens that were watched before a reload.
        """
        self._account = account
        self._sources = tuple(sources)
        self._clock = clock
        self._begun = begun
        self._owns = owns
        self._past = past.of(self.sources)
        self._lists: dict[str, Mapping[str, Labels]] = {}
        self._since: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self._current: Mapping[str, WatchedToken] | None = None

    def current(self) -> Mapping[str, WatchedToken]:
        """Ask every source; return every token, and the very same object if nothing has changed.

        What a source brings at its first answer has been there since the beginning, as far as anybody can
        tell.
        """
        for source in self._sources:
            self._ask(source)
        if self._current is None:
            self._current = self._together()
        if len(self._lists) == len(self._sources):
            self._past = NO_PAST
        return self._current

    def _together(self) -> Mapping[str, WatchedToken]:
        labels: dict[str, Labels] = {}
        # In the order of the sources, whichever of them answered first: the later one wins.
        for source in self._sources:
            for token, given in self._lists.get(source.name, {}).items():
                labels[token] = {**labels[token], **given} if labels.get(token) else given
        self._since = {token: since for token, since in self._since.items() if token in labels}
        # Most have the same as others: that is one object, where there may be 100,000.
        same: dict[WatchedToken, WatchedToken] = {}
        watched = (
            (token, WatchedToken(self._since[token], custom_labels(labels[token]))) for token in labels
        )
        return {token: same.setdefault(one, one) for token, one in watched}

    @property
    def past(self) -> Past:
        """Since when the tokens are watched, for whoever watches them on; any thread may ask."""
        waiting = (source.name for source in self._sources if source.name not in self._lists)
        begun = {name: self._past.sources.get(name, self._begun) for name in waiting}
        return Past({**self._past.tokens, **self._since}, begun)

    @property
    def sources(self) -> Collection[str]:
        """The names of all sources."""
        return [source.name for source in self._sources]

    @property
    def failures(self) -> Mapping[str, str]:
        """Why a source could not be read when it was last asked, by its name; its last good list stays."""
        return dict(self._failures)

    def _ask(self, source: Source) -> None:
        try:
            tokens = source.read()
        except SourceError as error:
            self._failures[source.name] = str(error)
            return
        if tokens is None:
            return
        self._failures.pop(source.name, None)
        past = NO_PAST if source.name in self._lists else self.past
        since = past.sources.get(source.name, self._clock.steady())
        # In the order of the source, so that the same tokens make the same batches.
        good = {token: labels for token, labels in tokens.items() if is_token(token)}
        if bad := len(tokens) - len(good):
            _log.warning("not tokens, left out", account=str(self._account), source=source.name, number=bad)
        mine = {token: labels for token, labels in good.items() if self._owns(token)}
        for token in mine:
            self._since.setdefault(token, past.tokens.get(token, since))
        if mine != self._lists.get(source.name):
            self._lists[source.name], self._current = mine, None
