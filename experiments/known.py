"""Sets whose every label is known, as vectors, and the learner of `preset = "auto"` on them.

What is replayed on them is not how well something is learned, but whether what is said about it is
true: the audit's intervals, thresholds of acceptance, wrong labels.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments import frozen
from experiments.sets import avdigits
from model.schema import Target
from model.vectors.folds import divide
from model.vectors.heads import fit_head
from strategies.pool import FloatArray, IntArray, TargetKind

NOISE = 0.8
"""Makes digits harder, as they are nearly solved after 100 labels."""
_WIDTH = 24


@dataclass(frozen=True)
class Data:
    """Vectors (N, D) of tasks, and their classes (N,)."""

    name: str
    x: FloatArray
    truth: IntArray
    target: Target

    def take(self, rows: IntArray) -> Data:
        """Return some of the tasks."""
        return Data(self.name, self.x[rows], self.truth[rows], self.target)


def digits(root: Path, noise: float = NOISE) -> Data:
    """Return digits as seen and heard, 24 dimensions each, made harder by noise."""
    data = avdigits.read(root / "avdigits", {"features": "simple"})
    columns = []
    rng = np.random.default_rng(1)
    for name in ("image", "audio"):
        raw = np.stack([_array(one[name]) for one in data.samples]).astype(np.float64)
        centred = raw - raw.mean(axis=0)
        left, size, _ = np.linalg.svd(centred, full_matrices=False)
        part = left[:, :_WIDTH] * size[:_WIDTH]
        part /= np.sqrt(np.square(part).sum(axis=1).mean())
        columns.append(part + noise * rng.normal(size=part.shape) / np.sqrt(_WIDTH))
    x = np.concatenate(columns, axis=1).astype(np.float32)
    return Data(f"avdigits (noise {noise:g})", x, np.asarray(data.labels["digit"]), target(10))


def _array(value: Any) -> FloatArray:
    return np.asarray(np.load(io.BytesIO(value.load())))


def tweets(root: Path) -> Data:
    """Return tweets of text and picture, as simple vectors."""
    found = frozen.vectors("mvsa:features=simple", root)
    rows = np.arange(len(found.truth))
    return Data("mvsa", found.joined(rows).astype(np.float32), found.truth, target(3))


def target(count: int) -> Target:
    """Return a question of so many classes."""
    return Target("class", TargetKind.CLASSIFICATION, tuple(map(str, range(count))))


def fitted(
    data: Data, given: IntArray, rows: IntArray, others: Sequence[IntArray], seed: int
) -> tuple[FloatArray, list[FloatArray]]:
    """Fit the learner; return out-of-fold probabilities of its rows, and its own of others.

    Args:
        data: all tasks.
        given: (N,) their labels, right or wrong.
        rows: (n,) tasks to learn from.
        others: rows to predict.
        seed: of the folds.
    """
    folds = divide(data.target, given[rows], seed)
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(given[rows]), len(data.target.classes))
    values, everyone = torch.from_numpy(data.x[rows]), np.ones(len(rows), bool)
    kind, even = data.target.kind, torch.ones(len(rows))
    head = fit_head(kind, values, one_hot.float(), everyone, folds, even)
    said = [head.linear(torch.from_numpy(data.x[part]))[-1].softmax(dim=1) for part in others]
    return head.logits.softmax(dim=1).numpy(), [each.numpy() for each in said]
