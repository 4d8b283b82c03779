"""Greedy kernel coverage: choose what covers most of the pool (Bae et al., ECCV 2024).

With labelled and chosen tasks S, weights w and a kernel k, the (generalised) coverage is
C(S) = mean_x w(x) max_{s in S} k(x, s). Each step takes the candidate c of the largest gain
mean_x w(x) max(k(x, c) - best(x), 0), best(x) = max_{s in S} k(x, s). Gains only shrink, so an
old gain is an upper bound: while the best of a front of candidates is at least every bound
outside it, it is the best of all, and only the front has to be measured (lazy greedy). The
choice is that of the textbook, ties to the lowest index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from strategies.factors import Factor, Rows
from strategies.pool import IntArray
from strategies.ranking import Values
from strategies.rows import chunks

# Rows that coverage is measured on. Larger pools are represented by a sample of this many, drawn
# in proportion to their weights.
REFERENCES = 5_000
# Squared distances of rows of length 1 up to this are rounding in float32.
ROUNDING = 1e-6
# Candidates that are kept up to date.
FRONT = 256


@dataclass(frozen=True)
class Coverage:
    """The result of a greedy search.

    Attributes:
        indices: (n,) chosen rows in order.
        gains: (N,) gain of each row by itself, given what was labelled before.
        left: (N,) for a row not chosen, the last gain known of it: an upper bound.
        references: number of rows that coverage was measured on.
    """

    indices: IntArray
    gains: Values
    left: Values
    references: int


class Kernel:
    """The Gaussian kernel exp(-|x - r|^2 / radius^2) between rows of length 1 and R references."""

    def __init__(self, points: Factor, references: Rows, radius: float) -> None:
        self._points = points
        self._rows = points.rows(references, torch.float32)
        self._norms = self._rows.square().sum(dim=1)
        self._scale = -1 / radius**2

    def to(self, points: Factor, index: Rows) -> torch.Tensor:
        """Return k of the rows of `index` of some points: (r, R) float32."""
        here = points.rows(index, torch.float32)
        squared = torch.addmm(self._norms, here, self._rows.T, alpha=-2)
        squared += here.square().sum(dim=1, keepdim=True)
        squared[squared <= ROUNDING] = 0
        return squared.mul_(self._scale).exp_()


def cover(
    points: Factor,
    n: int,
    rng: np.random.Generator,
    *,
    radius: float,
    eligible: IntArray,
    centres: Factor | None = None,
    own_centres: IntArray | None = None,
    weights: Values | None = None,
    limit: int = REFERENCES,
) -> Coverage:
    """Choose n rows greedily by the coverage that they add.

    Args:
        points: N rows.
        n: how many, at most the number of eligible ones.
        rng: draws the references of a pool larger than `limit`.
        radius: of the kernel.
        eligible: (C,) rows that may be chosen, ascending.
        centres: (L, D) labelled rows that are not among the points.
        own_centres: rows among the points that are labelled.
        weights: (N,) not negative; None: all 1.
        limit: rows that coverage is measured on.

    Work about N R D once and then FRONT R D for every few choices; memory FRONT R and a chunk.
    """
    weight = np.ones(points.shape[0]) if weights is None else weights
    if not weight.any():
        weight = np.ones(points.shape[0])
    references, share = _references(weight, limit, rng)
    kernel = Kernel(points, torch.from_numpy(references), radius)
    best = torch.zeros(len(references))
    if centres is not None:
        _raise(best, kernel, centres, torch.arange(centres.shape[0]))
    if own_centres is not None:
        _raise(best, kernel, points, torch.from_numpy(own_centres))
    search = _Search(points, kernel, best, torch.from_numpy(share).float(), eligible)
    first = search.bound.clone()
    while len(search.chosen) < n:
        search.choose(n)
    gains, left = first.double().numpy(), search.bound.double().numpy()
    return Coverage(np.asarray(search.chosen, np.int64), gains, left, len(references))


def _references(weight: Values, limit: int, rng: np.random.Generator) -> tuple[IntArray, Values]:
    """Return the rows that coverage is measured on and what each counts; these sum to 1."""
    rows = np.flatnonzero(weight > 0)
    if len(rows) <= limit:
        return rows, weight[rows] / weight[rows].sum()
    drawn = rng.choice(rows, limit, replace=False, p=weight[rows] / weight[rows].sum())
    return np.sort(drawn), np.full(limit, 1 / limit)


def _raise(best: torch.Tensor, kernel: Kernel, centres: Factor, rows: torch.Tensor) -> None:
    for part in chunks(len(rows), len(best)):
        torch.maximum(best, kernel.to(centres, rows[part]).amax(dim=0), out=best)


class _Search:
    """The state of one greedy search.

    Attributes:
        chosen: rows so far.
        bound: (N,) the last known gain of each row, -1 where it cannot be chosen.
    """

    def __init__(
        self,
        points: Factor,
        kernel: Kernel,
        best: torch.Tensor,
        share: torch.Tensor,
        eligible: IntArray,
    ) -> None:
        self._points, self._kernel, self._best, self._share = points, kernel, best, share
        self.chosen: list[int] = []
        self.bound = torch.full((points.shape[0],), -1.0)
        rows = torch.from_numpy(eligible)
        # A piece holds the rows themselves, their squares, and two tables of similarities.
        for part in chunks(len(rows), 2 * (len(best) + points.shape[1])):
            self.bound[rows[part]] = self._gains(kernel.to(points, rows[part]))
        self._front = torch.empty(0, dtype=torch.int64)
        self._similar = torch.empty(0, len(best))

    def _gains(self, similar: torch.Tensor) -> torch.Tensor:
        return (similar - self._best).clamp_(min=0) @ self._share

    def choose(self, n: int) -> None:
        """Choose until there are n rows or one outside the front may be the best."""
        outside, before = self._renew_front(), len(self.chosen)
        while len(self.chosen) < n:
            self.bound[self._front] = torch.where(
                self.bound[self._front] < 0, -1.0, self._gains(self._similar)
            )
            place = int(self.bound[self._front].argmax())
            row = int(self._front[place])
            gain = float(self.bound[row])
            # Among equals those outside may come first by index, but someone has to be chosen.
            if gain < outside or (gain == outside and len(self.chosen) > before):
                return
            self.chosen.append(row)
            self.bound[row] = -1.0
            torch.maximum(self._best, self._similar[place], out=self._best)

    def _renew_front(self) -> float:
        """Make the rows of the largest bounds the front; return the largest bound outside."""
        count = min(FRONT, len(self.bound))
        order = self.bound.sort(descending=True, stable=True).indices
        front = order[:count].sort().values
        known = torch.isin(front, self._front)
        similar = torch.empty(len(front), len(self._best))
        similar[known] = self._similar[torch.isin(self._front, front)]
        similar[~known] = self._kernel.to(self._points, front[~known])
        self._front, self._similar = front, similar
        return float(self.bound[order[count]]) if len(order) > count else -1.0
