"""Secrets: texts that are not shown, and the ways a configuration gives one."""

import re
import unicodedata
from dataclasses import dataclass
from typing import NoReturn

from exporter.config_values import FilePath
from exporter.schema import InvalidValueError, Outside, Scalar

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONG_WORD = re.compile(r"[A-Za-z0-9+=-]{20,}")


class Secret:
    """A text that is shown as `***` everywhere but where `reveal` is called.

    It equals only another secret with the same text, so that configurations can be compared.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def _key_like(text: str) -> bool:
    # A long word of letters and digits was likely pasted where the key's variable or file belongs.
    return any(re.search("[0-9]", word) and re.search("[A-Za-z]", word) for word in _LONG_WORD.findall(text))


def _secret(text: str, whose: str, remedy: str) -> Secret:
    text = text.strip()
    if not text:
        raise InvalidValueError(f"{whose} is empty", remedy)
    if any(unicodedata.category(character) == "Cc" or character > "\xff" for character in text):
        raise InvalidValueError(f"{whose} holds a character that an HTTP header cannot carry", remedy)
    return Secret(text)


@dataclass(frozen=True)
class SecretText(Scalar[Secret]):
    """A secret written in place."""

    kind = "the key itself"

    def parse(self, text: str, outside: Outside) -> Secret:
        """Return the secret."""
        return _secret(text, "the key", "write the key on one line, as the provider shows it")


@dataclass(frozen=True)
class SecretVariable(Scalar[Secret]):
    """The name of the environment's variable that holds a secret."""

    kind = "the name of an environment variable"

    def parse(self, text: str, outside: Outside) -> Secret:
        """Return the variable's value."""
        value = outside.environ.get(text) if _VARIABLE.fullmatch(text) else None
        if value is None and (_key_like(text) or not _VARIABLE.fullmatch(text)):
            raise InvalidValueError(
                "not the name of an environment variable", "write its name, never the key itself"
            )
        if value is None:
            raise InvalidValueError(f"the environment variable {text} is not set", "set it to the key")
        return _secret(value, f"the environment variable {text}", "set it to the key")


@dataclass(frozen=True)
class SecretFile(Scalar[Secret]):
    """The path of the file that holds a secret."""

    kind = "the path of a file"

    def parse(self, text: str, outside: Outside) -> Secret:
        """Return the file's text without the blanks around it."""
        path = FilePath().parse(text, outside)
        remedy = "write the key, and nothing else, into a file that this process may read"
        try:
            content = outside.read_text(path)
        except OSError as error:
            if _key_like(text) and not text.startswith("/"):
                raise InvalidValueError(
                    "no file of that name can be read", "write the file's path, never the key itself"
                ) from None
            raise InvalidValueError(f"{path} cannot be read: {error.strerror}", remedy) from None
        except UnicodeError:
            raise InvalidValueError(f"{path} is not UTF-8 text", remedy) from None
        return _secret(content, f"the file {path}", remedy)
