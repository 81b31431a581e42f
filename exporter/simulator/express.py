"""What Livepeer's server adds to every answer because it is an Express application."""

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from exporter.simulator.answer import Answer, Request

_COMMON = (
    ("X-Powered-By", "Express"),
    ("Vary", "Authorization, Origin"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Expose-Headers", "*"),
)
_NO_CACHE = re.compile(r"(?:^|,)\s*no-cache\s*(?:,|$)")


def express_etag(body: bytes) -> str:
    """Return the weak ETag that Express gives a body: its length in hex, and its SHA-1 without padding."""
    digest = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest())[:27].decode()
    return f'W/"{len(body):x}-{digest}"'


def compact_json(value: Any) -> str:
    """Return what JavaScript's JSON.stringify makes of a value (integral numbers being ints already)."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def express_answer(request: Request, status: int, body: bytes, *extra: tuple[str, str]) -> Answer:
    """Return a JSON answer as Express sends it, or 304 if the client has it already.

    Args:
        request: The request that is answered.
        status: The HTTP status.
        body: JSON, encoded.
        extra: Headers that the application set.
    """
    etag = express_etag(body)
    if status == 200 and _fresh(request, etag):
        return Answer(304, (*_COMMON, *extra, ("ETag", etag)))
    content = (
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("ETag", etag),
    )
    return Answer(status, (*_COMMON, *extra, *content), body)


def express_error(request: Request, status: int, message: str) -> Answer:
    """Return an error in the shape that Livepeer's own error handler gives it."""
    return express_answer(request, status, compact_json({"errors": [message]}).encode())


def next_link(request: Request, cursor: str) -> tuple[str, str]:
    """Return the Link header to the next page.

    As the real server does, it takes the scheme from its own socket (plain http, also behind TLS), the host
    from the Host header, and writes the whole query anew (recorded).
    """
    host = request.headers.get("host", "").lower().removesuffix(":80")
    pairs = parse_qsl(request.raw_query, keep_blank_values=True)
    places = [index for index, (name, _) in enumerate(pairs) if name == "cursor"]
    if places:
        pairs[places[0]] = ("cursor", cursor)
        pairs = [pair for index, pair in enumerate(pairs) if index not in places[1:]]
    else:
        pairs.append(("cursor", cursor))
    query = "&".join(f"{_form_encoded(name)}={_form_encoded(value)}" for name, value in pairs)
    return "Link", f'<http://{host}{request.path}?{query}>; rel="next"'


def _form_encoded(text: str) -> str:
    # JavaScript's URLSearchParams leaves `*` alone and encodes `~`; Python the other way round.
    return quote_plus(text, safe="*").replace("~", "%7E")


def _fresh(request: Request, etag: str) -> bool:
    wanted = request.headers.get("if-none-match")
    if wanted is None or request.method not in {"GET", "HEAD"}:
        return False
    if _NO_CACHE.search(request.headers.get("cache-control", "")):
        return False
    known = {tag.strip().removeprefix("W/") for tag in wanted.split(",")}
    return wanted.strip() == "*" or etag.removeprefix("W/") in known
