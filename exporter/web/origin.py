"""Whether a browser asks for a page of another site: such a page may not make it change anything here."""

from typing import Final

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

_OWN: Final = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of our own pages, and of what a person typed."""


def foreign(site: str | None, origin: str | None, host: str, own: str | None = None) -> bool:
    """Whether a page of another site asks; what is no browser tells neither site nor origin, and is none.

    If the site is told, it decides: a proxy may have changed the host, and the browser knows better than we
    which page is whose.

    Args:
        site: The header `Sec-Fetch-Site`.
        origin: The header `Origin`.
        host: The header `Host`.
        own: Where people reach us through a proxy, like `https://example.com`; None if that is not known.

    >>> foreign("cross-site", None, "exporter:10477"), foreign(None, None, "exporter:10477")
    (True, False)
    >>> foreign(None, "https://example.com", "exporter:10477")
    True
    >>> foreign(None, "https://example.com", "exporter:10477", "https://example.com")
    False
    """
    if site is not None:
        return site not in _OWN
    if origin is None:
        return False
    if own and origin.lower() == own.lower():
        return False
    # Without the scheme: what the browser speaks to a proxy is not known here.
    _, _, place = origin.partition("://")
    return not place or place.lower() != host.lower()
