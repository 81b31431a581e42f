"""What `check-config` finds: every mistake, what is allowed but hardly meant, and what would be watched.

It may run as another user than the exporter, or on another machine: what only stands in its own way is no
mistake. Nothing is written to find out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exporter.commands.token_file import TokenFiles
from exporter.config import Config, ConfigError, Mistake, QencodeConfig, load
from exporter.config_values import in_clear
from exporter.providers.qencode_masters import is_allowed
from exporter.schema import InvalidValueError
from exporter.server.listen import Address, refusals
from exporter.sharding import ALONE, Shard
from exporter.storage import obstacle_to

_PLACE: Final = "--storage.path"
"""What names the ledger if no configuration does."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        mistakes: What is to be mended: those of the configuration, then those of what it names.
        notes: What is allowed, but hardly meant, or what stands in the way here.
        accounts: What would be watched; empty if there is a mistake.
    """

    mistakes: Sequence[Mistake] = ()
    notes: Sequence[str] = ()
    accounts: Sequence[str] = ()


def check(
    path: Path | None, environ: Mapping[str, str], shard: Shard = ALONE, *, ledger: bool = True
) -> Checked:
    """Check a configuration, the files of tokens that it names and, if wanted, where its ledger is to be.

    See `load` for what it is read from.
    """
    files, place = TokenFiles(), _Place(shard)
    try:
        config = load(path, environ, files.look_into, place.look_at if ledger else _look_away)
    except ConfigError as error:
        return Checked((*error.mistakes, *files.mistakes), place.notes)
    found = Checked()
    if ledger and not place.looked:
        found = check_ledger(config.storage.url, shard, *([str(path), "storage.url"] if path else [_PLACE]))
    mistakes = (*files.mistakes, *found.mistakes)
    notes = [note for account in config.qencode for note in _notes(account)]
    accounts = () if mistakes else _accounts(config, files)
    return Checked(mistakes, [*place.notes, *found.notes, *notes], accounts)


def check_ledger(url: str, shard: Shard = ALONE, where: str = _PLACE, key: str = "") -> Checked:
    """Check where the ledger is to be, other than by a line of a configuration."""
    obstacle = obstacle_to(url, shard)
    if obstacle is None:
        return Checked()
    mistake = Mistake(where, None, key, obstacle.problem, obstacle.advice)
    return Checked(notes=[f"note: {mistake}"]) if obstacle.here else Checked([mistake])


def check_addresses(addresses: Sequence[Address]) -> Checked:
    """Check where to listen; whether an address is in use is not looked at."""
    remedy = "mend that, or name another address"
    return Checked(
        [Mistake("--web.listen-address", None, "", str(error), remedy) for error in refusals(addresses)]
    )


def _look_away(_url: str) -> None:
    """Look at nothing: what is written counts for nothing."""


class _Place:
    """Looks at where a configuration wants its ledger.

    Attributes:
        looked: Whether it says so itself.
        notes: What stands in the way here.
    """

    def __init__(self, shard: Shard) -> None:
        """Look at nothing yet."""
        self._shard = shard
        self.looked = False
        self.notes: list[str] = []

    def look_at(self, url: str) -> None:
        """Take up what stands in the way here; raises InvalidValueError if it does so everywhere."""
        self.looked = True
        obstacle = obstacle_to(url, self._shard)
        if obstacle and not obstacle.here:
            raise InvalidValueError(obstacle.problem, obstacle.advice)
        if obstacle:
            self.notes.append(f"note: storage.url: {obstacle.problem}; {obstacle.advice}")


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
    for key, way in (("base_url", "to"), ("task_tokens_http", "from")):
        other = urlsplit(getattr(account, key) or "")
        if in_clear(other.geturl()):
            yield (
                f"note: qencode/{account.name}: the tokens travel in clear text {way} {other.hostname} of"
                f" {key}; use https, unless all of the way is yours"
            )
