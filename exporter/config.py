"""The configuration: typed, and strict about what it is made from.

`load` reads it from a file or, without one, from the environment. Whatever is wrong is raised at once, as a
`ConfigError` whose mistakes name the file, the line, the key and the remedy.
"""

# ruff: noqa: RUF009 - option() and its kin are field() with a schema in it

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from exporter.config_sections import MetricsConfig, PollConfig, StallConfig, StorageConfig, TaskLabel
from exporter.config_values import (
    Choice,
    Duration,
    HostGlob,
    Name,
    Token,
    TokenFile,
    Url,
)
from exporter.schema import (
    InvalidValueError,
    ListOf,
    Need,
    Option,
    Outside,
    Scalar,
    Section,
    T,
    one_of,
    option,
    optional,
    read,
)
from exporter.secret import Secret, SecretFile, SecretText, SecretVariable
from exporter.strict_yaml import ConfigError, Mistake

__all__ = [
    "Config",
    "ConfigError",
    "LivepeerConfig",
    "LivepeerTaskType",
    "MetricsConfig",
    "Mistake",
    "PollConfig",
    "QencodeConfig",
    "Secret",
    "ShardBy",
    "StallConfig",
    "StorageConfig",
    "TaskLabel",
    "load",
    "parse",
]

_KEY_VARIABLE = "LIVEPEER_API_KEY"
_TOKENS_VARIABLE = "QENCODE_TASK_TOKENS"


class ShardBy(StrEnum):
    """What of an account belongs to one shard."""

    ACCOUNT = "account"
    TASK_TYPE = "task_type"


class LivepeerTaskType(StrEnum):
    """What a Livepeer task does."""

    UPLOAD = "upload"
    IMPORT = "import"
    EXPORT = "export"
    EXPORT_DATA = "export-data"
    TRANSCODE_FILE = "transcode-file"
    CLIP = "clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class QencodeConfig:
    """An account of Qencode: the tokens of the tasks to watch, from one or several sources."""

    name: str = option(Name(), "The account's name, in the label account.")
    task_tokens: tuple[str, ...] = option(
        ListOf(Token()),
        "Tokens of the tasks to watch; an empty list, alone, if all of them come over the API.",
        default="[]",
        private=True,
    )
    task_tokens_file: Path | None = optional(
        TokenFile(),
        "A file of tokens, in the format of Prometheus' file_sd; re-read when it changes."
        " Its labels stand on transcoding_task_info, job and instance as exported_job and exported_instance.",
    )
    task_tokens_http: str | None = optional(
        Url(base=False), "A URL that serves tokens, in the format of Prometheus' http_sd.", private=True
    )
    base_url: str = option(
        Url(),
        "Where the API is; with http, the tokens travel in clear text.",
        default="https://api.qencode.com",
    )
    allowed_hosts: tuple[str, ...] = option(
        ListOf(HostGlob()),
        "Hosts that may be sent a token; a status_url of another host is ignored.",
        default='["*.qencode.com"]',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LivepeerConfig:
    """An account of Livepeer Studio."""

    name: str = option(Name(), "The account's name, in the label account.")
    api_key: Secret = one_of(
        Option("api_key", SecretText(), "The API key itself; it is better kept out of this file."),
        Option("api_key_env", SecretVariable(), "The environment variable that holds the API key."),
        Option("api_key_file", SecretFile(), "The file that holds the API key."),
    )
    base_url: str = option(
        Url(encrypted=True),
        "Where the API is; https, unless on this machine.",
        default="https://livepeer.studio/api",
    )
    task_types: tuple[LivepeerTaskType, ...] = option(
        ListOf(Choice(LivepeerTaskType), filled=True),
        "The types of tasks to watch.",
        default="[upload, import, export, export-data, transcode-file, clip]",
    )
    lookback: float = option(
        Duration(), "How far back the first poll looks; 0: to the very first task.", default="30d"
    )
    shard_by: ShardBy = option(
        Choice(ShardBy),
        "With several shards: whether one of them watches the whole account, or each of them some task types."
        " To change it, stop all shards.",
        default="account",
    )


_QENCODE = Section(
    QencodeConfig,
    Need(
        ("task_tokens", "task_tokens_file", "task_tokens_http"),
        "no source of tokens is given",
        "give task_tokens, task_tokens_file or task_tokens_http; or task_tokens: [] if all come over the API",
        empty=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration."""

    poll: PollConfig = option(Section(PollConfig), "How the providers are asked.", default="{}")
    metrics: MetricsConfig = option(Section(MetricsConfig), "What Prometheus sees.", default="{}")
    storage: StorageConfig = option(Section(StorageConfig), "Where knowledge is kept.", default="{}")
    qencode: tuple[QencodeConfig, ...] = option(
        ListOf(_QENCODE, unique="name"), "Accounts of Qencode.", default="[]"
    )
    livepeer: tuple[LivepeerConfig, ...] = option(
        ListOf(Section(LivepeerConfig), unique="name"), "Accounts of Livepeer Studio.", default="[]"
    )


_CONFIG = Section(
    Config,
    Need(("qencode", "livepeer"), "no account is configured", "add one to the list qencode or livepeer"),
)


def _read_text(path: Path) -> str:
    return path.read_text("utf-8-sig")


def load(
    path: Path | None,
    environ: Mapping[str, str],
    look_into: Callable[[Path], None] = lambda _: None,
    look_at: Callable[[str], None] = lambda _: None,
) -> Config:
    """Read the configuration from a file or, without one, from the environment.

    In the file's place, `LIVEPEER_API_KEY` and `QENCODE_TASK_TOKENS` (separated by commas or blanks) make one
    account each, named `default`. With a file, only the variables that it names are looked at.
    `look_into` is told of every file of tokens, `look_at` of the ledger's URL if written; see `Outside`.

    Raises:
        ConfigError: With every mistake there is.
    """
    if path is None:
        return _from_environment(environ)
    return parse(_text(path), str(path), environ, path.parent, look_into=look_into, look_at=look_at)


def parse(
    text: str,
    file: str,
    environ: Mapping[str, str],
    base: Path,
    read_text: Callable[[Path], str] = _read_text,
    look_into: Callable[[Path], None] = lambda _: None,
    look_at: Callable[[str], None] = lambda _: None,
) -> Config:
    """Read the configuration from the text of a file.

    Args:
        text: The text, YAML.
        file: What mistakes call the file.
        environ: The variables that `api_key_env` can name.
        base: The folder that relative paths start from.
        read_text: Returns the text of a secret's file.
        look_into: Told of every file of tokens; see `Outside`.
        look_at: Told of the ledger's URL if written; see `Outside`.

    Raises:
        ConfigError: With every mistake there is.
    """
    return read(text, file, _CONFIG, Outside(environ, base, read_text, look_into, look_at))


def _text(path: Path) -> str:
    data = b""
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        mistake = Mistake(str(path), None, "", f"cannot be read: {error.strerror}", "name a readable file")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        mistake = Mistake(str(path), line, "", "not UTF-8 text", "save the file as UTF-8")
    raise ConfigError([mistake])


def _from_environment(environ: Mapping[str, str]) -> Config:
    outside = Outside(environ, Path(), _read_text)
    mistakes: list[Mistake] = []

    def value(scalar: Scalar[T], text: str, key: str) -> Iterator[T]:
        try:
            yield scalar.parse(text, outside)
        except InvalidValueError as invalid:
            mistakes.append(Mistake("environment", None, key, invalid.problem, invalid.remedy))

    tokens = [
        token
        for index, text in enumerate(re.findall(r"[^\s,]+", environ.get(_TOKENS_VARIABLE, "")))
        for token in value(Token(), text, f"{_TOKENS_VARIABLE}[{index}]")
    ]
    key = environ.get(_KEY_VARIABLE, "").strip()
    secrets = list(value(SecretText(), key, _KEY_VARIABLE)) if key else []
    if not (tokens or secrets or mistakes):
        remedy = f"name a file with --config.file, or set {_KEY_VARIABLE} or {_TOKENS_VARIABLE}"
        mistakes.append(Mistake("environment", None, "", "no account is configured", remedy))
    if mistakes:
        raise ConfigError(mistakes)
    unique = tuple(dict.fromkeys(tokens))
    return Config(
        qencode=(QencodeConfig(name="default", task_tokens=unique),) if unique else (),
        livepeer=tuple(LivepeerConfig(name="default", api_key=secret) for secret in secrets),
    )
