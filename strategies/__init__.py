"""What to label next: pure maths on arrays. No I/O, no network classes, no Label Studio.

The strategies themselves load torch and scikit-learn, so they are imported when they are first
asked for: a command that only checks a name must not wait for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strategies.errors import EmptyPool, InvalidPool, UnsupportedTarget
from strategies.names import NAMES
from strategies.pool import (
    HeldOut,
    LayerGradients,
    LinearHead,
    Need,
    Pool,
    Selection,
    TargetKind,
)

if TYPE_CHECKING:
    from strategies.registry import STRATEGIES, cold_start
    from strategies.strategy import Strategy

__all__ = [
    "NAMES",
    "STRATEGIES",
    "EmptyPool",
    "HeldOut",
    "InvalidPool",
    "LayerGradients",
    "LinearHead",
    "Need",
    "Pool",
    "Selection",
    "Strategy",
    "TargetKind",
    "UnsupportedTarget",
    "cold_start",
]


def __getattr__(name: str) -> Any:
    """Import what needs the heavy libraries on first use (PEP 562)."""
    if name in ("STRATEGIES", "cold_start"):
        from strategies import registry

        return getattr(registry, name)
    if name == "Strategy":
        from strategies.strategy import Strategy

        return Strategy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
