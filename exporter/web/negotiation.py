"""Which form of an answer a client wants."""

from collections.abc import Callable, Sequence
from typing import Final

from flask import Request, Response

from exporter.pieces import Piece, gzipped

Metrics = Callable[[str], tuple[str, Sequence[Piece]]]
"""Returns the metrics as an Accept header asks for them: their media type, and their text in pieces."""

WORTH_PACKING: Final = 1024
"""Bytes of a page from which on it is gzipped."""


def exposition(request: Request, metrics: Metrics) -> Response:
    """Answer with the metrics, gzipped if the client reads that."""
    content_type, pieces = metrics(request.headers.get("Accept", ""))
    response = Response(content_type=content_type)
    response.vary.add("Accept")
    _pack(request, response, pieces)
    return response


def packed(request: Request, response: Response) -> Response:
    """Gzip an answer if the client reads that, unless that has been decided already."""
    # What is joined here stays in memory twice: the metrics have come in pieces, packed or not.
    if "Accept-Encoding" not in response.vary and not response.direct_passthrough:
        _pack(request, response, [Piece(response.get_data())])
    return response


def _pack(request: Request, response: Response, pieces: Sequence[Piece]) -> None:
    response.vary.add("Accept-Encoding")
    if request.accept_encodings.best_match(["gzip", "identity"]) == "gzip":
        response.headers["Content-Encoding"] = "gzip"
        body = gzipped(pieces)
    else:
        body = [piece.text for piece in pieces]
    # Parts that nobody joins: they are large, and most of them are sent again by the next answer.
    response.response = body
    response.content_length = sum(map(len, body))
