"""The providers' words on their way into labels: what a terminal would obey, or hide, stays outside."""

from typing import Final

MAX_PHASE: Final = 64
"""Characters of a phase."""

MAX_ID: Final = 256
"""Characters of the id of a task, a project or an asset."""


def plain(words: str, most: int) -> str:
    r"""Return words on one line, at most so many characters, of which each can be seen.

    Blanks of any kind become one space. What does not print (control characters, bidi overrides, lone
    surrogates) becomes U+FFFD instead of nothing: what only looks like a known word must not pass for it.

    >>> plain(" Stitching\n 2 of 3 ", 64)
    'Stitching 2 of 3'
    >>> plain("run\x1bning", 64)
    'run�ning'
    """
    if words.isprintable() and " " not in words:
        return words[:most]
    line = " ".join(words.split())
    if not line.isprintable():
        line = "".join(char if char.isprintable() else "\ufffd" for char in line)
    return line[:most].rstrip()
