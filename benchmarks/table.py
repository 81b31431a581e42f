"""The table that a run prints, line by line as the figures come."""

from typing import Final

from benchmarks.figures import TOLERANCE, Figure, Sense, Unit

_FORMS: Final = ("<4", "<84", ">9", ">9", ">7", ">9", "<6")
_SECONDS: Final = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
_BYTES: Final = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))


def line(figure: Figure) -> str:
    """Return the line of a figure; a bar that is missed, but not by half, is told as `nearly`."""
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    theirs = "" if figure.theirs is None else amount(figure.theirs, figure.unit)
    bar = "" if figure.bar.limit is None else _bar(figure.bar.sense, figure.bar.limit, figure)
    return _row(
        figure.part,
        figure.metric,
        amount(figure.ours, figure.unit),
        theirs,
        ratio,
        bar,
        _met(figure),
    )


def amount(value: float, unit: Unit) -> str:
    """Return a value as people read it."""
    if unit is Unit.NUMBER:
        return f"{value:,g}"
    scales = _SECONDS if unit is Unit.SECONDS else _BYTES
    name, size = next(((name, size) for name, size in scales if abs(value) >= size), scales[-1])
    return f"{value / size:.3g} {name}"


def _row(*cells: str) -> str:
    padded = (f"{cell:{form}}" for cell, form in zip(cells, _FORMS, strict=True))
    return "  ".join(padded).rstrip()


def _bar(sense: Sense, limit: float, figure: Figure) -> str:
    shown = amount(limit, figure.unit) if figure.ratio is None else f"{limit:g}"
    return f"{'≥' if sense is Sense.AT_LEAST else '<'} {shown}"


def _met(figure: Figure) -> str:
    if figure.bar.limit is None:
        return ""
    return "yes" if figure.met() else "nearly" if figure.met(TOLERANCE) else "NO"


HEAD: Final = _row("part", "metric", "ours", "theirs", "ratio", "bar", "met")
