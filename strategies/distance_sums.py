"""Sums of distances from each embedding to all others, without an N x N matrix (GRACE Eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from strategies.factors import Factor, squared_norms
from strategies.gradients import OuterProducts
from strategies.pool import IntArray
from strategies.rows import chunks

Values = npt.NDArray[np.float64]

# Rows of one block of pairs: some 2,048 x 2,048 buffers are all that is ever held.
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

    Work R^2 (K + D) / 2, extra memory five blocks of BLOCK x BLOCK and two of BLOCK x (K + D).
    """
    totals = torch.zeros(len(rows), dtype=torch.float64, device=embeddings.device)
    view = _Centred(embeddings, rows)
    parts = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
    for position, part in enumerate(parts):
        here = view.take(rows[part])
        totals[part] += _distances(here, here).fill_diagonal_(0).sum(dim=1, dtype=torch.float64)
        for other in parts[position + 1 :]:
            distances = _distances(here, view.take(rows[other]))
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
    view = _Centred(embeddings, rows)
    reference = view.take(rows[chosen])
    sums, squares = np.empty(count), np.empty(count)
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        distances = _distances(view.take(rows[part]), reference)
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


class _Centred:
    """Some embeddings, each factor moved by the mean of its rows.

    |a (x) z - b (x) y|^2 as a difference of squared lengths loses what float32 cannot hold where
    the embeddings are long and alike. With p = |a - b|^2 and q = |z - y|^2 it is
    ((|a|^2 - |b|^2)(|z|^2 - |y|^2) + (|a|^2 + |b|^2) q + (|z|^2 + |y|^2) p - p q) / 2,
    and p and q are those of the moved factors.
    """

    def __init__(self, embeddings: OuterProducts, rows: IntArray) -> None:
        self._embeddings = embeddings
        index = torch.from_numpy(rows).to(embeddings.device)
        self._dtype = torch.float64 if len(rows) <= DOUBLE_LIMIT else embeddings.dtype
        self._left_mean = _mean(embeddings.left, index)
        self._right_mean = _mean(embeddings.right, index)

    def take(self, rows: IntArray) -> _Block:
        index = torch.from_numpy(rows).to(self._embeddings.device)
        left = self._embeddings.left.rows(index, torch.float64)
        right = self._embeddings.right.rows(index, torch.float64)
        return _Block(
            (left - self._left_mean).to(self._dtype),
            (right - self._right_mean).to(self._dtype),
            squared_norms(left),
            squared_norms(right),
        )


@dataclass(frozen=True)
class _Block:
    """A few embeddings: moved factors (m, K) and (m, D), squared lengths (m,) before that."""

    left: torch.Tensor
    right: torch.Tensor
    left_squared: torch.Tensor
    right_squared: torch.Tensor


def _mean(factor: Factor, rows: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(factor.shape[1], dtype=torch.float64, device=factor.device)
    for part in chunks(len(rows), 2 * factor.shape[1], factor.device):
        total += factor.rows(rows[part], torch.float64).sum(dim=0)
    return total / len(rows)


def _distances(one: _Block, other: _Block) -> torch.Tensor:
    """Return (m, m') distances; what is rounding becomes an exact 0."""
    left, right = _apart(one.left, other.left), _apart(one.right, other.right)
    dtype = left.dtype
    lefts, rights = one.left_squared, one.right_squared
    squared = torch.sub(lefts[:, None], other.left_squared).to(dtype)
    squared *= torch.sub(rights[:, None], other.right_squared).to(dtype)
    squared.addcmul_(torch.add(lefts[:, None], other.left_squared).to(dtype), right)
    squared.addcmul_(torch.add(rights[:, None], other.right_squared).to(dtype), left)
    squared.addcmul_(left, right, value=-1)
    return squared.div_(2).clamp_(min=0).sqrt_()


def _apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return (m, m') squared distances of rows."""
    scale = one.square().sum(dim=1)[:, None] + other.square().sum(dim=1)
    squared = torch.addmm(scale, one, other.T, alpha=-2)
    squared[squared <= ROUNDING[squared.dtype] * scale] = 0
    return squared
