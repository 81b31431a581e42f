"""What `check-config` finds: every mistake, what is allowed but hardly meant, and what would be watched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from exporter.commands.token_file import TokenFiles
from exporter.config import Config, ConfigError, Mistake, QencodeConfig, load
from exporter.providers.qencode_masters import is_allowed


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        mistakes: What is to be mended: those of the configuration, then those of its files of tokens.
        notes: What is allowed, but hardly meant.
        accounts: What would be watched; empty if there is a mistake.
    """

    mistakes: Sequence[Mistake] = ()
    notes: Sequence[str] = ()
    accounts: Sequence[str] = ()


def check(path: Path | None, environ: Mapping[str, str]) -> Checked:
    """Check a configuration and the files of tokens that it names; see `load`."""
    files = TokenFiles()
    try:
        config = load(path, environ, files.look_into)
    except ConfigError as error:
        return Checked((*error.mistakes, *files.mistakes))
    if files.mistakes:
        return Checked(files.mistakes)
    notes = [note for account in config.qencode for note in _notes(account)]
    return Checked((), notes, _accounts(config, files))


def _accounts(config: Config, files: TokenFiles) -> Sequence[str]:
    qencode = [f"qencode/{account.name} ({_tokens(account, files)})" for account in config.qencode]
    return [*qencode, *(f"livepeer/{account.name}" for account in config.livepeer)]


def _tokens(account: QencodeConfig, files: TokenFiles) -> str:
    """Return in words which tokens of an account are watched."""
    path, by_url = account.task_tokens_file, bool(account.task_tokens_http)
    if not (account.task_tokens or path or by_url):
        return "tokens over the API alone, with --web.enable-admin-api"
    number = len({*account.task_tokens, *(files.tokens[path] if path else ())})
    if not (account.task_tokens or path):
        return "tokens by URL, read at run time"
    return f"{number} {'token' if number == 1 else 'tokens'}{', more by URL' if by_url else ''}"


def _notes(account: QencodeConfig) -> Iterator[str]:
    url = urlsplit(account.base_url)
    if not is_allowed(f"{url.scheme}://{url.netloc}", account.allowed_hosts, plain=True):
        yield (
            f"note: qencode/{account.name}: {url.hostname} of base_url is not in allowed_hosts,"
            " so a status_url of that host is ignored; add it, unless the answers name other hosts"
        )
