"""Every strategy by its name. To add one: write its file, add its line."""

from __future__ import annotations

from importlib import import_module

from strategies.pool import Pool
from strategies.strategy import Strategy

_FILES = (
    "random_sampling",
    "least_confidence",
    "margin",
    "entropy",
    "bald",
    "coreset",
    "dbal",
    "deepfool",
    "gcnal",
    "badge",
    "bmmal",
    "grace",
    "grace_i",
    "grace_ir",
    "typiclust",
)

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (import_module(f"strategies.{name}").STRATEGY for name in _FILES)
}


def cold_start(pool: Pool) -> Strategy:
    """Return the strategy for the first batch, when nothing is labelled.

    TypiClust where features come from pretrained encoders; features of an untrained network say
    nothing about what is typical, so there it is random.
    """
    return STRATEGIES["typiclust" if pool.pretrained and pool.features else "random"]
