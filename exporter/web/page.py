"""What all pages for people have in common."""

from typing import Final

from flask import Response, render_template

from exporter import __version__

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def page(template: str, **values: object) -> Response:
    """Return a page that loads nothing from elsewhere and runs no script but ours."""
    return Response(render_template(template, version=__version__, **values), headers=_HEADERS)
