"""Every strategy by its name. To add one: write its file, add its name to `names.py`."""

from __future__ import annotations

from importlib import import_module

from strategies.names import NAMES
from strategies.pool import Pool
from strategies.strategy import Strategy

# A module named random would shadow the standard library's in some set-ups.
_FILES = {"random": "random_sampling"}

STRATEGIES: dict[str, Strategy] = {
    name: import_module(f"strategies.{_FILES.get(name, name)}").STRATEGY for name in NAMES
}


def cold_start(pool: Pool) -> Strategy:
    """Return the strategy for the first batch, when nothing is labelled.

    TypiClust where features come from pretrained encoders; features of an untrained network say
    nothing about what is typical, so there it is random.
    """
    return STRATEGIES["typiclust" if pool.pretrained and pool.features else "random"]
