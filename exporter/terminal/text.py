"""How what comes from outside is written into a terminal: nothing in it is obeyed, and it fits. Pure."""

import re
from datetime import datetime
from typing import Final

from rich.cells import cell_len, set_cell_size

from exporter.report.words import whole_percent

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def visible(text: str) -> str:
    r"""Return a text with what does not print written out: control characters, line ends, bidi overrides.

    >>> visible("one\ntwo \x1b[2J")
    'one\\ntwo \\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def visible_json(document: bytes) -> str:
    r"""Return a JSON document with what does not print as `\u` escapes, which mean the same to a reader."""
    return re.sub(r"[^ -~]", lambda match: _json_escaped(match[0]), document.decode())


def _json_escaped(char: str) -> str:
    if char.isprintable():
        return char
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def shortened(text: str, width: int, gap: str = "…") -> str:
    """Return a text that fits into so many columns; of a longer one the middle is left out.

    >>> shortened("4bd1ac1ba5cc9e2430f420712bb1e0be", 9)
    '4bd1…e0be'
    """
    if cell_len(text) <= width:
        return text
    room = max(0, width - cell_len(gap))
    back = room // 2
    return set_cell_size(text, room - back) + gap + _end(text, back)


def _end(text: str, width: int) -> str:
    """Return the last so many columns of a text; blanks stand for half of a wide character."""
    end = ""
    for char in reversed(text):
        if cell_len(char + end) > width:
            break
        end = char + end
    return end.rjust(width - cell_len(end) + len(end))


def age(then: datetime, now: datetime) -> str:
    """Return how long ago something was, in at most five columns.

    What lies ahead by the exporter's clock is taken for the present.
    """
    return duration((now - then).total_seconds())


def duration(seconds: float) -> str:
    """Return a duration in at most five columns; where there is room, `span` says it.

    >>> [duration(seconds) for seconds in (0.5, 59, 61, 3700, 40_000, 200_000)]
    ['0s', '59s', '1m', '1h01m', '11h', '2d']
    """
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 10 * _HOUR:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _HOUR}h" if whole < _DAY else f"{whole // _DAY}d"


def stopwatch(seconds: float) -> str:
    """Return a duration to the second.

    >>> stopwatch(7), stopwatch(3_725)
    ('0:07', '1:02:05')
    """
    whole = max(0, int(seconds))
    minutes = f"{whole % _HOUR // _MINUTE}:{whole % _MINUTE:02}"
    return minutes if whole < _HOUR else f"{whole // _HOUR}:{minutes.rjust(5, '0')}"


def percent(progress: float | None) -> str:
    """Return a ratio as whole per cent, and 100% only when all is done; empty if it is not known.

    >>> percent(0.999), percent(None)
    ('99%', '')
    """
    return "" if progress is None else f"{whole_percent(progress)}%"


def clock(moment: datetime) -> str:
    """Return the time of day here."""
    return moment.astimezone().strftime("%H:%M:%S")
