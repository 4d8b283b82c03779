"""Every strategy by its name. To add one: write its file, add its name to `names.py`."""

from __future__ import annotations

from importlib import import_module

from strategies.names import REGISTERED
from strategies.pool import Pool
from strategies.strategy import Strategy

# A module's constant is the name in capitals: GRACE_IR in grace.py.
STRATEGIES: dict[str, Strategy] = {
    name: getattr(import_module(f"strategies.{entry.module}"), name.upper())
    for name, entry in REGISTERED.items()
}


def cold_start(pool: Pool) -> Strategy:
    """Return the strategy for the first batch, when nothing is labelled.

    TypiClust where features come from pretrained encoders; features of an untrained network say
    nothing about what is typical, so there it is random.
    """
    return STRATEGIES["typiclust" if pool.pretrained and pool.features else "random"]
