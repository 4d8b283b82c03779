"""The registered names, in the order in which they are shown: where each is, and what it is for.

Kept apart from the strategies, which load torch: a name or a kind of target is checked without.
"""

from __future__ import annotations

from typing import NamedTuple

from strategies.pool import TargetKind

EVERY_TARGET = frozenset(TargetKind)
CLASSES = frozenset({TargetKind.CLASSIFICATION, TargetKind.MULTILABEL})


class Entry(NamedTuple):
    """The module that defines a strategy, and the kinds of target that it is defined for."""

    module: str
    targets: frozenset[TargetKind]


REGISTERED: dict[str, Entry] = {
    "auto": Entry("auto", EVERY_TARGET),
    # A module named random would shadow the standard library's in some set-ups.
    "random": Entry("random_sampling", EVERY_TARGET),
    "least_confidence": Entry("uncertainty", CLASSES),
    "margin": Entry("uncertainty", CLASSES),
    "entropy": Entry("uncertainty", CLASSES),
    "bald": Entry("bald", EVERY_TARGET),
    "coreset": Entry("coreset", EVERY_TARGET),
    "dbal": Entry("dbal", EVERY_TARGET),
    "kmeans": Entry("kmeans", EVERY_TARGET),
    "deepfool": Entry("deepfool", CLASSES),
    "gcnal": Entry("gcnal", EVERY_TARGET),
    "badge": Entry("badge", CLASSES),
    "bmmal": Entry("bmmal", CLASSES),
    "grace": Entry("grace", EVERY_TARGET),
    "grace_i": Entry("grace", EVERY_TARGET),
    "grace_ir": Entry("grace", EVERY_TARGET),
    "typiclust": Entry("typiclust", EVERY_TARGET),
    "max_herding": Entry("herding", EVERY_TARGET),
    "u_herding": Entry("herding", CLASSES),
}

NAMES = tuple(REGISTERED)


def fitting(target: TargetKind) -> list[str]:
    """Return the names of the strategies that are defined for a kind of target."""
    return [name for name, entry in REGISTERED.items() if target in entry.targets]
