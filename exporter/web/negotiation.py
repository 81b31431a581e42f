"""Which form of the metrics a scraper wants."""

import gzip
from typing import Final

from flask import Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

_GZIP_LEVEL: Final = 1


def exposition(request: Request, registry: CollectorRegistry) -> Response:
    """Render the registry as the Accept headers ask: text or OpenMetrics, gzipped or not."""
    try:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    except (TypeError, ValueError):
        # The library does not expect a version that is no number.
        encode, content_type = choose_encoder("")
    body = encode(registry)
    response = Response(body, content_type=content_type, headers={"Vary": "Accept, Accept-Encoding"})
    if request.accept_encodings.best_match(["gzip", "identity"]) == "gzip":
        response.set_data(gzip.compress(body, _GZIP_LEVEL))
        response.headers["Content-Encoding"] = "gzip"
    return response
