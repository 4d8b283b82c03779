"""Folds: which labels are held back together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model import labels as labelling
from model.arrays import Array
from model.schema import Target
from strategies.pool import IntArray, TargetKind

MEMBERS = 5


@dataclass(frozen=True)
class Folds:
    """A division of n labelled samples.

    Attributes:
        of: (n,) fold of each sample.
        count: how many folds; 0 where there are too few labels to hold any back.
    """

    of: IntArray
    count: int

    def shares(self, rows: Array) -> Tensor:
        """Return (count + 1, n) with 1 where a problem may learn a sample, of those in `rows`.

        The first problems are the members, each without its own fold; the last has everything.
        """
        parts = [rows & (self.of != fold) for fold in range(self.count)]
        return torch.from_numpy(np.stack([*parts, rows])).float()

    def own(self, values: Tensor) -> Tensor:
        """Return (n, K) out-of-fold values of (count + 1, n, K): by the member that left it out."""
        place = torch.from_numpy(self.of)
        return values[place, torch.arange(len(place))]


def divide(target: Target, truth: Array, seed: int) -> Folds:
    """Deal samples into 5 folds, class by class (numbers: by size), so that folds are alike.

    Fewer than two classes with two labels each leave nothing that a fold could tell.
    """
    size = len(truth)
    order = np.random.default_rng(seed).permutation(size)
    key, enough = _key(target, truth)
    order = order[np.argsort(key[order], kind="stable")]
    count = min(MEMBERS, size) if enough else 0
    of = np.zeros(size, np.int64)
    of[order] = np.arange(size) % max(count, 1)
    return Folds(of, count)


def _key(target: Target, truth: Array) -> tuple[Array, bool]:
    """Return (n,) what to sort by, and whether there is enough to divide."""
    known = labelling.known(target, truth)
    if target.kind is TargetKind.REGRESSION:
        return np.where(known, truth, np.inf), int(known.sum()) >= 4
    if target.kind is TargetKind.MULTILABEL:
        positive = np.where(known[:, None], truth >= 0.5, False)
        frequency = positive.sum(axis=0)
        rarest = np.where(positive, frequency, size_none := len(truth) + 1).min(axis=1)
        return np.where(rarest == size_none, -1, rarest), int(known.sum()) >= 4
    classes = np.where(known, labelling.hard(np.nan_to_num(truth)), -1)
    counts = np.sort(np.bincount(classes[known], minlength=2))
    return classes, int(counts[-2]) >= 2
