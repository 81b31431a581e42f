"""Chance that repeats: the same name gives the same numbers."""

from random import Random


def dice(*name: object) -> Random:
    """Return a generator whose numbers depend on nothing but a name.

    Args:
        name: Parts of the name, e.g. a seed and an index.
    """
    return Random("/".join(map(str, name)))  # noqa: S311 - a simulated world guards no secret
