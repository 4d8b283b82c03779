"""Replays small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.cells import Cell
from experiments.curves import Curves
from experiments.plan import Plan
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

NAMES = ("grace", "random", "entropy")
MAIN = {
    TargetKind.CLASSIFICATION: "macro_accuracy",
    TargetKind.MULTILABEL: "macro_f1",
    TargetKind.REGRESSION: "mae",
}


def cell(contender: str, seed: int, number: int) -> Cell:
    """Return a measurement that took seed + 1 seconds to choose, and as many more each round.

    The last round chose nothing.
    """
    seconds = {"choose": 100.0 if number == 2 else (seed + 1.0) * (number + 1)}
    return Cell(contender, seed, number, 0, {}, {}, [], {}, {}, "", seconds)


def curves(
    finals: Sequence[Sequence[float]],
    kind: TargetKind = TargetKind.CLASSIFICATION,
    heads: dict[str, Sequence[float]] | None = None,
    names: tuple[str, ...] = NAMES,
) -> Curves:
    """Return three rounds with 10, 20 and 30 labels: 0, a final value, the final value.

    Args:
        finals: per contender and seed.
        kind: of the target.
        heads: modality -> value of its own head per contender, the same in every round.
        names: of the contenders.
    """
    values = np.asarray(finals, float)
    grid = values[:, :, None] * np.array([0.0, 1.0, 1.0])
    found = {MAIN[kind]: grid}
    for name, own in (heads or {}).items():
        found[f"{MAIN[kind]}:{name}"] = np.asarray(own, float)[:, None, None] + 0 * grid
    seeds = tuple(range(values.shape[1]))
    classes = () if kind is TargetKind.REGRESSION else ("a", "b")
    modalities = tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in ("one", "two"))
    plan = Plan("toy", "Toy", names, 10, 10, 3, len(seeds), 0, preset("quick"), "")
    return Curves(
        plan,
        Schema(modalities, (Target("y", kind, classes),)),
        names,
        seeds,
        np.array([10, 20, 30]),
        found,
        {(n, s): [cell(n, s, r) for r in range(3)] for n in names for s in seeds},
    )


def grids(**per_contender: Sequence[Sequence[float]]) -> dict[str, np.ndarray]:
    """Return (S, 2, 3) grids of values per contender and round, the same for both seeds."""
    made = {name: np.array(values, float)[:, None] for name, values in per_contender.items()}
    return {name: np.repeat(values, 2, axis=1) for name, values in made.items()}


def with_values(found: Curves, **per_contender: Sequence[Sequence[float]]) -> Curves:
    """Add measurements; `__` in a name stands for a colon."""
    more = {name.replace("__", ":"): grid for name, grid in grids(**per_contender).items()}
    return replace(found, values={**found.values, **more})
