"""What to label next: pure maths on arrays. No I/O, no network classes, no Label Studio."""

from strategies.errors import EmptyPool, InvalidPool, UnsupportedTarget
from strategies.pool import (
    LayerGradients,
    LinearHead,
    Need,
    Pool,
    Selection,
    TargetKind,
)
from strategies.registry import STRATEGIES, cold_start
from strategies.strategy import Strategy

__all__ = [
    "STRATEGIES",
    "EmptyPool",
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
