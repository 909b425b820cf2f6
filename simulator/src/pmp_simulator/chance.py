"""Repeatable chance: generators that depend on their seed alone."""

from random import Random


def seeded(*parts: object) -> Random:
    """A generator for one purpose; the same parts give the same numbers, in every process."""
    return Random("/".join(map(str, parts)))  # noqa: S311 - a simulation, not a secret
