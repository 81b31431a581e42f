"""Which Qencode tokens to watch: those of the configuration, of a file and of a discovery over HTTP.

File and discovery have the formats of Prometheus' `file_sd` and `http_sd`: a list of groups of targets; a
target is a token. A source that fails keeps its last good list and leaves the others alone.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog
import yaml

from exporter.model import Account, Clock

REFRESH_INTERVAL: Final = 10.0
"""Seconds for which what a discovery over HTTP answered is good."""

_TOKEN: Final = re.compile(r"[!-+\--~]{1,256}")

_log = structlog.get_logger()


class SourceError(Exception):
    """A source of tokens that can't be read; the message says why and is fit to be logged."""


class Source(Protocol):
    """A place where tokens come from."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    def read(self) -> Collection[str] | None:
        """Return all its tokens; None if they are what they were. Raises `SourceError`."""


class FixedSource:
    """The tokens of the configuration."""

    name = "task_tokens"

    def __init__(self, tokens: Collection[str]) -> None:
        self._tokens: Collection[str] | None = tokens

    def read(self) -> Collection[str] | None:
        """Return the tokens, once."""
        tokens, self._tokens = self._tokens, None
        return tokens


class FileSource:
    """A file in the format of `file_sd`, JSON or YAML, read again when it changes."""

    name = "task_tokens_file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None

    def read(self) -> Collection[str] | None:
        """Return the tokens if the file changed."""
        # Unset until this version turns out to be good: one that was good is read again once it is back.
        good, self._version = self._version, None
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version == good:
                self._version = good
                return None
            text = self._path.read_bytes()
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from None
        tokens = self._parse(text)
        self._version = version
        return tokens

    def _parse(self, text: bytes) -> Sequence[str]:
        try:
            return read_groups(_load(text))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}: " if mark else ""
            raise SourceError(f"{self._path}: {where}neither JSON nor YAML") from None
        except (msgspec.ValidationError, RecursionError) as error:
            raise SourceError(f"{self._path}: {error}") from None


class HttpSource:
    """A discovery in the format of `http_sd`."""

    name = "task_tokens_http"

    def __init__(self, fetch: Callable[[], bytes], clock: Clock) -> None:
        """Ask nothing yet; `fetch` returns the body of the answer or raises `SourceError`."""
        self._fetch = fetch
        self._clock = clock
        self._good_until = float("-inf")

    def read(self) -> Collection[str] | None:
        """Return the tokens, unless they were read a moment ago."""
        if self._clock.monotonic() < self._good_until:
            return None
        self._good_until = self._clock.monotonic() + REFRESH_INTERVAL
        try:
            return read_groups(msgspec.json.decode(self._fetch()))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceError(str(error)) from None


class _Group(msgspec.Struct):
    targets: list[str]
    labels: dict[str, str] = {}


def read_groups(value: object) -> Sequence[str]:
    """Return the tokens of a list of target groups. Raises `msgspec.ValidationError`."""
    groups = msgspec.convert(value, list[_Group])
    return [token.strip() for group in groups for token in group.targets]


def _load(text: bytes) -> object:
    """Read JSON or YAML."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Every scalar as the text it is: a token of digits is no number, and none is a date.
        return yaml.load(text, yaml.CBaseLoader)  # noqa: S506 - it makes texts, lists and maps, nothing else


class Tokens:
    """The tokens of one account, from all its sources, each with the time since which it is watched."""

    def __init__(self, account: Account, sources: Iterable[Source], clock: Clock) -> None:
        self._account = account
        self._sources = tuple(sources)
        self._clock = clock
        self._opened = clock.time()
        self._lists: dict[str, Collection[str]] = {}
        self._since: dict[str, float] = {}
        self._failures: dict[str, str] = {}

    def current(self) -> Mapping[str, float]:
        """Ask every source; return each token with the time (seconds) since which it is watched.

        What a source brings at its first answer has been there since the account was opened, as far as
        anybody can tell.
        """
        for source in self._sources:
            self._ask(source)
        watched = {token for tokens in self._lists.values() for token in tokens}
        self._since = {token: since for token, since in self._since.items() if token in watched}
        return dict(self._since)

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
        since = self._clock.time() if source.name in self._lists else self._opened
        every = dict.fromkeys(tokens)
        # In the order of the source, so that the same tokens make the same batches.
        good = [token for token in every if _TOKEN.fullmatch(token)]
        if bad := len(every) - len(good):
            _log.warning("not tokens, left out", account=str(self._account), source=source.name, number=bad)
        for token in good:
            self._since.setdefault(token, since)
        self._lists[source.name] = good
