"""Which form of an answer a client wants."""

import gzip
from typing import Final

from flask import Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

_GZIP_LEVEL: Final = 1

WORTH_PACKING: Final = 1024
"""Bytes of a page from which on it is gzipped."""


def exposition(request: Request, registry: CollectorRegistry) -> Response:
    """Render the registry as the Accept headers ask: text or OpenMetrics, gzipped or not."""
    try:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    except (TypeError, ValueError):
        # The library does not expect a version that is no number.
        encode, content_type = choose_encoder("")
    response = Response(encode(registry), content_type=content_type, headers={"Vary": "Accept"})
    return packed(request, response)


def packed(request: Request, response: Response) -> Response:
    """Gzip an answer if the client reads that, and unless it is gzipped already."""
    if "Content-Encoding" in response.headers or response.direct_passthrough:
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings.best_match(["gzip", "identity"]) == "gzip":
        response.set_data(gzip.compress(response.get_data(), _GZIP_LEVEL))
        response.headers["Content-Encoding"] = "gzip"
    return response
