"""What is written as a single value in the configuration, one reader each."""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from operator import mul
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from exporter.schema import InvalidValueError, Outside, Scalar
from exporter.strict_yaml import quoted

E = TypeVar("E", bound=StrEnum)

# Prometheus' syntax and units: a year has 365 days, a unit appears once, the largest first.
_MILLISECONDS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION = re.compile("(?=.)" + "".join(rf"(?:([0-9]{{1,18}}){unit})?" for unit in _MILLISECONDS))
_CENTURY = 100 * 365 * 86_400.0

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?", re.IGNORECASE)
_HOST_GLOB = re.compile(r"[a-z0-9_*-]+(\.[a-z0-9_*-]+)*", re.IGNORECASE)
_TOKEN_LENGTH = 256
_NAME_LENGTH = 100


@dataclass(frozen=True)
class Flag(Scalar[bool]):
    """A truth value."""

    quotable = False
    kind = "true or false"

    def parse(self, text: str, outside: Outside) -> bool:
        """Return the truth value."""
        if text.lower() not in ("true", "false"):
            raise InvalidValueError(f"{quoted(text)} is neither true nor false", "write true or false")
        return text.lower() == "true"


@dataclass(frozen=True)
class Number(Scalar[int]):
    """A whole number between two bounds, both allowed."""

    least: int
    most: int
    quotable = False

    @property
    def kind(self) -> str:
        """What is to be written."""
        return f"a whole number from {self.least} to {self.most}"

    def parse(self, text: str, outside: Outside) -> int:
        """Return the number."""
        if not _NUMBER.fullmatch(text) or not self.least <= int(text) <= self.most:
            raise InvalidValueError(
                f"{quoted(text)} is not {self.kind}", "write such a number in digits alone"
            )
        return int(text)


@dataclass(frozen=True)
class Duration(Scalar[float]):
    """A duration in Prometheus' syntax, in seconds.

    Attributes:
        positive: Whether 0 is refused.
        most: The longest allowed, in seconds.
    """

    positive: bool = False
    most: float = _CENTURY

    @property
    def kind(self) -> str:
        """What is to be written."""
        return "a duration above 0" if self.positive else "a duration"

    def parse(self, text: str, outside: Outside) -> float:
        """Return the seconds."""
        match = _DURATION.fullmatch("0s" if text == "0" else text)
        if not match:
            raise InvalidValueError(f"{quoted(text)} is not a duration", "write it like 30d or 90s")
        counts = map(int, match.groups(default="0"))
        seconds: float = sum(map(mul, counts, _MILLISECONDS.values())) / 1000
        if self.positive and not seconds:
            raise InvalidValueError("the duration is 0", "write one above 0, like 10s")
        if seconds > self.most:
            raise InvalidValueError(f"{quoted(text)} is too long", f"write {self.most:.0f}s or less")
        return seconds


@dataclass(frozen=True)
class Choice(Scalar[E], Generic[E]):
    """A member of an enum, written as its value."""

    members: type[E]

    @property
    def kind(self) -> str:
        """What is to be written."""
        return f"one of {', '.join(self.members)}"

    def parse(self, text: str, outside: Outside) -> E:
        """Return the member."""
        if text not in list(self.members):
            raise InvalidValueError(f"{quoted(text)} is not known here", f"write {self.kind}")
        return self.members(text)


@dataclass(frozen=True)
class Name(Scalar[str]):
    """The name of an account."""

    kind = "a name"

    def parse(self, text: str, outside: Outside) -> str:
        """Return the name."""
        if not text:
            raise InvalidValueError("the name is empty", "write a name")
        if not text.isprintable() or text != text.strip():
            raise InvalidValueError(
                "the name begins or ends with a blank, or does not print", "write a plain name"
            )
        if len(text) > _NAME_LENGTH:
            raise InvalidValueError(
                f"the name is longer than {_NAME_LENGTH} characters", "write a shorter one"
            )
        return text


@dataclass(frozen=True)
class FilePath(Scalar[Path]):
    """A path, relative to the folder of the configuration's file."""

    kind = "a path"

    def parse(self, text: str, outside: Outside) -> Path:
        """Return the path; whether the file exists is not looked at."""
        if not text or not text.isprintable():
            raise InvalidValueError("the path is empty or does not print", "write the path of a file")
        return outside.base / text


@dataclass(frozen=True)
class TokenFile(FilePath):
    """The path of a file of tokens, into which who only checks the configuration looks as well."""

    def parse(self, text: str, outside: Outside) -> Path:
        """Return the path."""
        path = super().parse(text, outside)
        outside.look_into(path)
        return path


@dataclass(frozen=True)
class Url(Scalar[str]):
    """An absolute http or https URL without credentials; never quoted in a mistake, for it may hold some.

    Attributes:
        base: Whether paths get appended: no query then, and trailing slashes are cut.
        encrypted: Whether plain http is refused off the machine.
    """

    base: bool = True
    encrypted: bool = False
    kind = "a URL"

    def parse(self, text: str, outside: Outside) -> str:
        """Return the URL."""
        parts = _split(text)
        if parts is None or parts.scheme not in ("http", "https") or not _is_host(parts.hostname or ""):
            raise InvalidValueError(
                "not an absolute http or https URL", "write it like https://example.com/path"
            )
        if not _has_port(parts):
            raise InvalidValueError(
                "the URL has no port from 1 to 65535", "mend what follows the colon, or remove it"
            )
        if "@" in parts.netloc:
            raise InvalidValueError("the URL holds a user name or a password", "remove the part before the @")
        if "#" in text:
            raise InvalidValueError("the URL holds a fragment", "remove the # and what follows")
        if self.base and "?" in text:
            raise InvalidValueError("the URL holds a query", "remove the ? and what follows")
        if self.encrypted and in_clear(text):
            raise InvalidValueError("the key would travel in clear text", "use https")
        return text.rstrip("/") if self.base else text


def in_clear(url: str) -> bool:
    """Whether what is sent to a URL leaves the machine unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _split(text: str) -> SplitResult | None:
    if not re.fullmatch(r"[!-\[\]-~]+", text):
        return None
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _has_port(parts: SplitResult) -> bool:
    """Whether the port is one, if there is any."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    return bool(_HOST.fullmatch(host)) or _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if _is_address(host):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


@dataclass(frozen=True)
class HostGlob(Scalar[str]):
    """A host, in which `*` stands for any characters; its domain is fixed, for tokens are sent to it."""

    kind = "a host like *.example.com"

    def parse(self, text: str, outside: Outside) -> str:
        """Return the pattern in lower case."""
        if not _HOST_GLOB.fullmatch(text):
            raise InvalidValueError(
                f"{quoted(text)} is not a host", "write it like *.example.com: no scheme, port or path"
            )
        if "*" in "".join(text.split(".")[-2:]):
            raise InvalidValueError(
                f"{quoted(text)} gives the tokens to anybody", "name a domain, like *.example.com"
            )
        return text.lower()


@dataclass(frozen=True)
class Token(Scalar[str]):
    """A Qencode task token, as written."""

    kind = "a task token"

    def parse(self, text: str, outside: Outside) -> str:
        """Return the token."""
        if not text:
            raise InvalidValueError("the token is empty", "write a task token, or remove it")
        if not re.fullmatch(r"[!-+\--~]+", text):
            problem = (
                f"the token that begins with {quoted(text[:4])} holds a blank, a comma or a special character"
            )
            raise InvalidValueError(problem, "write one token an item, in plain ASCII")
        if len(text) > _TOKEN_LENGTH:
            problem = (
                f"the token that begins with {quoted(text[:4])} is longer than {_TOKEN_LENGTH} characters"
            )
            raise InvalidValueError(problem, "write one token an item")
        return text


@dataclass(frozen=True)
class DatabaseUrl(Scalar[str]):
    """The URL of a ledger's database, as SQLAlchemy writes it. It is not shown: it may hold a password."""

    kind = "a database URL"

    def parse(self, text: str, outside: Outside) -> str:
        """Return the URL with its driver; a relative path of SQLite starts from the working folder."""
        if not text.isprintable():
            raise InvalidValueError("the URL holds characters that can't be seen", "remove them")
        scheme, found, rest = text.partition("://")
        if found and scheme == "memory" and not rest:
            return text
        if found and scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
            if rest.partition("?")[0].endswith("/"):
                raise InvalidValueError("this is the path of a folder", "name a file in it, like ledger.db")
            url = text
        elif found and scheme in ("postgresql", "postgresql+psycopg") and rest:
            url = f"postgresql+psycopg://{rest}"
        else:
            raise InvalidValueError(
                "this is not a database URL",
                "write sqlite:///path/to/ledger.db, postgresql://user@host/name or memory://",
            )
        outside.look_at(url)
        return url
