"""Many vectors -> two numbers each, for people to look at."""

from __future__ import annotations

import numpy as np
import torch

from model.arrays import Float32Array

_MORE = 10
"""Directions beside the two, for the accuracy of the two (Halko et al., 2011)."""
_OUTSIDE = 0.5
"""Percent of the vectors at either end of an axis that are put on its edge."""


def plane(vectors: Float32Array) -> Float32Array:
    """Return where (N, D) vectors lie along the two directions in which they differ most.

    Each axis is scaled to fill [0, 1]; what lies far out is put on the edge. Which
    end is which is settled by the vectors, too. Constant axes are 0.5.

    Returns:
        (N, 2).
    """
    count = min(2, *vectors.shape)
    found = np.full((len(vectors), 2), 0.5, np.float32)
    if not count:
        return found
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        asked = min(count + _MORE, *vectors.shape)
        left, sizes, _ = torch.svd_lowrank(torch.from_numpy(centred), asked, niter=3)
    for axis in range(count):
        along = (left[:, axis] * sizes[axis]).numpy()
        along *= 1 if (along.astype(np.float64) ** 3).sum() >= 0 else -1
        low, high = np.percentile(along, [_OUTSIDE, 100 - _OUTSIDE])
        if high - low > 1e-6 * max(1.0, float(sizes[0])) / np.sqrt(len(vectors)):
            found[:, axis] = np.clip((along - low) / (high - low), 0, 1)
    return found
