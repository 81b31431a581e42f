"""What changes the exporter over HTTP: reading its configuration anew, and tokens to watch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import unquote

import msgspec
from flask import Blueprint, Response, request

TOKENS: Final = "/api/v1/qencode/<account>/tokens"

_JSON_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

Reload = Callable[[], Sequence[str]]
"""Reads the configuration anew; returns its mistakes, and changes nothing if there is one."""

Shown = Mapping[str, object]
"""What may be shown of a token: its name, its labels, and when it was added."""


class RefusedError(Exception):
    """A request that can't be granted; the message is for whoever sent it.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GivenTokens(Protocol):
    """The tokens that were given over HTTP. Each method raises `RefusedError`."""

    def give(self, account: str, token: str, labels: Mapping[str, str]) -> tuple[bool, Shown]:
        """Watch a token; return whether it is new, and what may be shown of it."""

    def take(self, account: str, token: str) -> None:
        """Watch a token no longer."""

    def show(self, account: str, token: str) -> Shown:
        """Return what may be shown of a token."""

    def list(self, account: str) -> Sequence[Shown]:
        """Return what may be shown of every token."""


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    labels: dict[str, str] = {}


def lifecycle(reload: Reload | None) -> Blueprint:
    """Return the page that reloads; without a `reload` it refuses."""
    pages = Blueprint("lifecycle", __name__)

    @pages.route("/-/reload", methods=["POST", "PUT"])
    def _reload() -> Response:
        if reload is None:
            return _text(403, "Not allowed: start with --web.enable-lifecycle, or send SIGHUP.")
        mistakes = reload()
        if mistakes:
            return _text(500, "\n".join(["The configuration has mistakes, the one before stays:", *mistakes]))
        return _text(200, "Reloaded.")

    return pages


def token_api(tokens: GivenTokens | None) -> Blueprint:
    """Return the API for tokens; without `tokens` it refuses."""
    pages = Blueprint("tokens", __name__)

    @pages.errorhandler(RefusedError)
    def _refused(error: RefusedError) -> Response:
        return json_answer(error.status, {"error": str(error)})

    @pages.url_value_preprocessor
    def _as_sent(_: str | None, values: dict[str, Any] | None) -> None:
        # The server leaves %2F in the path, lest it look like a separator; what was sent tells what it means.
        segments = request.environ["REQUEST_URI"].partition("?")[0].split("/")
        names = {"account": -3, "token": -1} if values and "token" in values else {"account": -2}
        for name, index in names.items():
            if values is not None:
                values[name] = unquote(segments[index])

    if tokens is None:

        def refuse(**_: str) -> Response:
            raise RefusedError(403, "the admin API is off; start with --web.enable-admin-api")

        pages.add_url_rule(TOKENS, "list", refuse, methods=["GET"])
        pages.add_url_rule(f"{TOKENS}/<token>", "one", refuse, methods=["GET", "PUT", "DELETE"])
    else:
        _routes(pages, tokens)
    return pages


def _routes(pages: Blueprint, tokens: GivenTokens) -> None:
    @pages.get(TOKENS)
    def _list(account: str) -> Response:
        return json_answer(200, {"tokens": tokens.list(account)})

    @pages.get(f"{TOKENS}/<token>")
    def _show(account: str, token: str) -> Response:
        return json_answer(200, tokens.show(account, token))

    @pages.put(f"{TOKENS}/<token>")
    def _give(account: str, token: str) -> Response:
        new, shown = tokens.give(account, token, _labels(request.get_data()))
        return json_answer(201 if new else 200, shown)

    @pages.delete(f"{TOKENS}/<token>")
    def _take(account: str, token: str) -> Response:
        tokens.take(account, token)
        return Response(status=204)


def _labels(body: bytes) -> Mapping[str, str]:
    if not body:
        return {}
    try:
        return msgspec.json.decode(body, type=_Body).labels
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(
            400, f'the body is not like {{"labels": {{"customer": "acme"}}}}: {error}'
        ) from None


def json_answer(status: int, body: object) -> Response:
    """Return an answer of the API."""
    return Response(
        msgspec.json.encode(body), status=status, mimetype="application/json", headers=_JSON_HEADERS
    )


def _text(status: int, words: str) -> Response:
    return Response(f"{words}\n", status=status, mimetype="text/plain")
