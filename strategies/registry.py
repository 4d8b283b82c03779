"""Every strategy by its name. To add one: write its file, add its line."""

from __future__ import annotations

from importlib import import_module

from strategies.strategy import Strategy

_FILES = (
    "random_sampling",
    "least_confidence",
    "margin",
    "entropy",
    "badge",
    "bmmal",
    "grace",
)

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (import_module(f"strategies.{name}").STRATEGY for name in _FILES)
}
