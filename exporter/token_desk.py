"""The tokens that come over HTTP, on their way to the exporter."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from exporter.assembly import Exporter, OtherShardError, UnknownAccountError
from exporter.model import Account, Provider
from exporter.tracking.database_error import DatabaseError
from exporter.tracking.ledger import GivenToken
from exporter.tracking.token_labels import is_token, label_mistake
from exporter.web.admin import RefusedError, Shown

_NOT_GIVEN: Final = "no such token was given over this API"


class TokenDesk:
    """Hands the tokens that come over HTTP to the exporter, and shows them as they may be shown."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def give(self, account: str, token: str, labels: Mapping[str, str]) -> tuple[bool, Shown]:
        """Watch a token; return whether it is new, and what may be shown of it."""
        if not is_token(token):
            raise RefusedError(400, "not a token: at most 256 printable ASCII characters, no blank, no comma")
        if mistake := label_mistake(labels):
            raise RefusedError(400, mistake)
        with _refusals():
            new = self._exporter.give_token(_account(account), token, labels)
        return new, self.show(account, token)

    def take(self, account: str, token: str) -> None:
        """Watch a token no longer."""
        with _refusals():
            if not self._exporter.take_token(_account(account), token):
                raise RefusedError(404, _NOT_GIVEN)

    def show(self, account: str, token: str) -> Shown:
        """Return what may be shown of a token."""
        with _refusals():
            given = self._exporter.given_tokens(_account(account)).get(token)
        if given is None:
            raise RefusedError(404, _NOT_GIVEN)
        return self._shown(token, given)

    def list(self, account: str) -> Sequence[Shown]:
        """Return what may be shown of every token."""
        with _refusals():
            given = self._exporter.given_tokens(_account(account))
        return [self._shown(token, one) for token, one in given.items()]

    def _shown(self, token: str, given: GivenToken) -> Shown:
        name = self._exporter.label(Provider.QENCODE, token)
        return {"task": name, "labels": given.labels, "added": given.added}


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except UnknownAccountError as error:
        raise RefusedError(404, str(error)) from None
    except OtherShardError as error:
        raise RefusedError(409, str(error)) from None
    except DatabaseError as error:
        raise RefusedError(503, f"it can't be remembered: {error}") from None


def _account(name: str) -> Account:
    return Account(Provider.QENCODE, name)
