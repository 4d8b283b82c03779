"""What a strategy refuses, and what to do about it."""

from __future__ import annotations


class EmptyPool(ValueError):
    """There is no task left to choose from."""


class InvalidPool(ValueError):
    """An array of the pool is missing, has the wrong shape or holds values it must not hold."""


class UnsupportedTarget(ValueError):
    """The strategy is not defined for this kind of target."""
