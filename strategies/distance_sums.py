"""Sums of distances from each embedding to all others, without an N x N matrix (GRACE Eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from strategies.gradients import OuterProducts, Points
from strategies.pool import IntArray

Values = npt.NDArray[np.float64]

# Rows of one block of pairs: three 2,048 x 2,048 buffers are all that is ever held.
BLOCK = 2048
# Up to this many embeddings float64 costs nothing that anybody would notice.
DOUBLE_LIMIT = 2048
# Relative squared distance that is rounding, by precision.
ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-12}


@dataclass(frozen=True)
class DistanceSums:
    """(R,) sums of distances to all other embeddings and their standard errors (0 if exact)."""

    sums: Values
    standard_errors: Values


def exact_sums(embeddings: OuterProducts, rows: IntArray) -> DistanceSums:
    """Sum the distances of each of R rows to the others; each pair of blocks is computed once.

    Args:
        embeddings: N embeddings.
        rows: (R,) the embeddings to sum over, each once.

    Work R^2 (K + D) / 2, extra memory three blocks of BLOCK x BLOCK and two of BLOCK x (K + D).
    """
    totals = torch.zeros(len(rows), dtype=torch.float64, device=embeddings.device)
    parts = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
    for position, part in enumerate(parts):
        here = _points(embeddings, rows[part], len(rows))
        totals[part] += _distances(here, here).fill_diagonal_(0).sum(dim=1, dtype=torch.float64)
        for other in parts[position + 1 :]:
            distances = _distances(here, _points(embeddings, rows[other], len(rows)))
            totals[part] += distances.sum(dim=1, dtype=torch.float64)
            totals[other] += distances.sum(dim=0, dtype=torch.float64)
    return DistanceSums(totals.cpu().numpy(), np.zeros(len(rows)))


def estimated_sums(
    embeddings: OuterProducts, rows: IntArray, size: int, rng: np.random.Generator
) -> DistanceSums:
    """Estimate the sums of `exact_sums` from the distances to `size` random ones of the rows.

    The estimate (R - 1) * mean is unbiased; its standard error has the finite-population factor.
    A member of the reference set is compared with the size - 1 others. All rows share the set, so
    their errors go the same way: the ranking is better than the standard error suggests.
    """
    count = len(rows)
    chosen = np.sort(rng.choice(count, size=min(size, count), replace=False))
    reference = _points(embeddings, rows[chosen], count)
    sums, squares = np.empty(count), np.empty(count)
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        distances = _distances(_points(embeddings, rows[part], count), reference)
        own = np.flatnonzero((chosen >= start) & (chosen < start + BLOCK))
        distances[chosen[own] - start, own] = 0
        sums[part] = distances.sum(dim=1, dtype=torch.float64).cpu().numpy()
        squares[part] = distances.square().sum(dim=1, dtype=torch.float64).cpu().numpy()
    compared = np.full(count, float(len(chosen)))
    compared[chosen] -= 1
    compared = np.maximum(compared, 1)
    mean = sums / compared
    variance = np.maximum(squares - compared * mean**2, 0) / np.maximum(compared - 1, 1)
    unseen = np.maximum(1 - compared / max(count - 1, 1), 0)
    return DistanceSums((count - 1) * mean, (count - 1) * np.sqrt(variance / compared * unseen))


def _points(embeddings: OuterProducts, rows: IntArray, count: int) -> Points:
    index = torch.from_numpy(rows).to(embeddings.device)
    return embeddings.take(index, torch.float64 if count <= DOUBLE_LIMIT else embeddings.dtype)


def _distances(one: Points, other: Points) -> torch.Tensor:
    """Return (m, m') distances; what is rounding becomes an exact 0."""
    inner = one.left @ other.left.T
    inner *= one.right @ other.right.T
    scale = one.squared_norms[:, None].to(inner.dtype) + other.squared_norms.to(inner.dtype)
    squared = torch.sub(scale, inner, alpha=2, out=inner)
    squared[squared <= ROUNDING[squared.dtype] * scale] = 0
    return squared.sqrt_()
