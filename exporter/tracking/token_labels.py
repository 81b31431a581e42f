"""What can be a Qencode token, and which custom labels one can have."""

import re
from collections.abc import Mapping
from typing import Final

MAX_LABELS: Final = 16
"""Custom labels of one token; more are left out."""

_TOKEN: Final = re.compile(r"[!-+\--~]{1,256}")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MAX_LABEL_VALUE: Final = 256
_MAX_SHOWN: Final = 64

Labels = Mapping[str, str]
"""Custom labels, by name."""


def is_token(text: str) -> bool:
    """Whether a text can be a token: it goes into a comma-separated list."""
    return bool(_TOKEN.fullmatch(text))


def label_mistake(labels: Labels) -> str | None:
    """Return what keeps labels from standing on a metric, if anything does; see `custom_labels`.

    >>> label_mistake({"customer-id": "7"})
    "'customer-id' is not the name of a label: letters, digits and _, no digit first, no __ first"
    """
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or name.startswith("__"):
            shown = repr(name[:_MAX_SHOWN])
            return f"{shown} is not the name of a label: letters, digits and _, no digit first, no __ first"
        if len(value) > _MAX_LABEL_VALUE:
            return f"the value of {name[:_MAX_SHOWN]} is longer than {_MAX_LABEL_VALUE} characters"
    if len(labels) > MAX_LABELS:
        return f"{len(labels)} labels; a token can have {MAX_LABELS}"
    return None


def custom_labels(labels: Labels) -> tuple[tuple[str, str], ...]:
    """Return the labels that can stand on a metric, sorted.

    Those that begin with `__` are not meant to, and others are bounded in number and length.
    """
    good = [
        (name, value[:_MAX_LABEL_VALUE])
        for name, value in sorted(labels.items())
        if _LABEL.fullmatch(name) and not name.startswith("__")
    ]
    return tuple(good[:MAX_LABELS])
