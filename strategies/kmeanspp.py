"""k-means++ seeding, exact and in blocks (Arthur and Vassilvitskii 2007; BADGE, BMMAL).

Sequential k-means++ reads all N embeddings once per centre. Here a block of m candidates is drawn
from the current D^2 distribution and walked in order; candidate c is accepted with probability
D^2_new(c) / D^2_stale(c), where D^2_new also counts the candidates accepted earlier in the block.
D^2 only ever shrinks, so this is rejection sampling from exactly the sequential distribution: the
result has the same law, and the N rows are read once per block, by matrix-matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from strategies.gradients import OuterProducts
from strategies.pool import IntArray

BLOCK = 256


@dataclass(frozen=True)
class Seeding:
    """The result of k-means++.

    Attributes:
        indices: (n,) chosen rows in the order in which they were chosen.
        squared_distances: (N,) squared distance of each row to the nearest chosen one.
    """

    indices: IntArray
    squared_distances: npt.NDArray[np.float64]


def kmeanspp(
    embeddings: OuterProducts,
    n: int,
    rng: np.random.Generator,
    *,
    weights: npt.ArrayLike | None = None,
    block: int = BLOCK,
) -> IntArray:
    """Choose n rows by k-means++ and return their indices in order; see `seed`."""
    return seed(embeddings, n, rng, weights=weights, block=block).indices


def seed(
    embeddings: OuterProducts,
    n: int,
    rng: np.random.Generator,
    *,
    weights: npt.ArrayLike | None = None,
    block: int = BLOCK,
    first: int | None = None,
) -> Seeding:
    """Choose n rows: the one with the largest norm, then each in proportion to weight * D^2.

    Args:
        embeddings: N embeddings.
        n: number of rows; more than there are rows of positive weight means all of those.
        rng: source of randomness. The result is a function of it and the embeddings (on a CPU).
        weights: (N,) non-negative weights of the rows; a row of weight 0 is never chosen.
        block: candidates per block. It changes the speed, not the law.
        first: the first row, of positive weight, where it is not that of the largest norm.

    When every row left coincides with a chosen one (duplicates, or all gradients zero), the
    rest is filled in order of index. Ties for the largest norm go to the lowest index.
    """
    if n < 1 or block < 1:
        raise ValueError(f"n and block must be at least 1, not {n} and {block}.")
    weight = _weights(embeddings, weights)
    eligible = weight > 0
    n = min(n, int(eligible.sum()))
    if n == 0:
        return Seeding(np.empty(0, np.int64), np.full(embeddings.size, np.inf))
    norms = torch.where(eligible, embeddings.squared_norms, -1.0)
    chosen = [int(norms.argmax()) if first is None else first]
    nearest = torch.full_like(norms, torch.inf)
    _shrink(embeddings, nearest, chosen)
    while len(chosen) < n:
        accepted = _walk(embeddings, nearest, weight, rng, min(block, 2 * (n - len(chosen)) + 8))
        accepted = accepted[: n - len(chosen)]
        if not accepted:
            break
        _shrink(embeddings, nearest, accepted)
        chosen += accepted
    return Seeding(_fill(chosen, n, eligible.cpu().numpy()), nearest.cpu().numpy())


def _weights(embeddings: OuterProducts, weights: npt.ArrayLike | None) -> torch.Tensor:
    if weights is None:
        return torch.ones(embeddings.size, dtype=torch.float64, device=embeddings.device)
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (embeddings.size,):
        raise ValueError(f"weights must have shape ({embeddings.size},), not {values.shape}.")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError("weights must be finite and not negative.")
    return torch.from_numpy(values).to(embeddings.device)


def _walk(
    embeddings: OuterProducts,
    nearest: torch.Tensor,
    weight: torch.Tensor,
    rng: np.random.Generator,
    block: int,
) -> list[int]:
    """Draw a block from the current D^2 and return those that rejection sampling accepts."""
    cumulative = (nearest * weight).cumsum(0)
    total = float(cumulative[-1])
    if not total > 0:
        return []
    marks = torch.from_numpy(rng.random(block)).to(cumulative.device) * total
    drawn = torch.searchsorted(cumulative, marks, right=True)
    # A mark that rounds up to the total belongs to the last row that has any weight.
    drawn = drawn.clamp_(max=int(torch.searchsorted(cumulative, cumulative[-1:])))
    points = embeddings.take(drawn)
    between = points.squared_distances(points).cpu().numpy()
    stale = nearest[drawn].cpu().numpy()
    fresh = stale.copy()
    accepted = []
    for position, chance in enumerate(rng.random(block)):
        if chance * stale[position] < fresh[position]:
            accepted.append(position)
            np.minimum(fresh, between[position], out=fresh)
    rows: list[int] = drawn.cpu().numpy()[accepted].tolist()
    return rows


def _shrink(embeddings: OuterProducts, nearest: torch.Tensor, centres: list[int]) -> None:
    """Update D^2 of all rows, in place, by the new centres."""
    rows = torch.tensor(centres, device=embeddings.device)
    embeddings.shrink(nearest, embeddings.centres(rows))
    nearest[rows] = 0.0


def _fill(chosen: list[int], n: int, eligible: npt.NDArray[np.bool_]) -> IntArray:
    eligible[chosen] = False
    rest = np.flatnonzero(eligible)[: n - len(chosen)]
    return np.concatenate([np.asarray(chosen, np.int64), rest]).astype(np.int64)
