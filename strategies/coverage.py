"""Greedy kernel coverage: choose what covers most of the pool (Bae et al., ECCV 2024).

With labelled and chosen tasks S, weights w and a kernel k, the (generalised) coverage is
C(S) = mean_x w(x) max_{s in S} k(x, s). Each step takes the candidate c of the largest gain
mean_x w(x) max(k(x, c) - best(x), 0), best(x) = max_{s in S} k(x, s). Gains only shrink, so an
old gain is an upper bound: a candidate whose gain is measured anew and at least every bound is
the best of all (lazy greedy). The choice is that of the textbook, ties to the lowest index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from strategies.factors import Factor, Rows
from strategies.pool import IntArray
from strategies.ranking import Values
from strategies.rows import chunks
from strategies.threads import in_threads

# Rows that coverage is measured on. Larger pools are represented by a sample of this many, drawn
# in proportion to their weights.
REFERENCES = 5_000
# Squared distances of rows of length 1 up to this are rounding in float32.
ROUNDING = 1e-6
# 2 to this is nothing beside 1 in float32; below it powers are slow and then no normal numbers.
SMALLEST = -100.0
# Candidates that are measured anew at first; twice as many each time until the best is found.
TOGETHER = 32
# Rows and references of a piece of the kernel that stays in a processor's cache.
TILE = (1024, 256)


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
        rows = points.rows(references, torch.float32)
        # [-2 r, 1, |r|^2] times [x, |x|^2, 1] is |x - r|^2.
        norms = rows.square().sum(dim=1, keepdim=True)
        self._rows = torch.cat([-2 * rows, torch.ones_like(norms), norms], dim=1)
        self._scale = -1 / (radius**2 * np.log(2))

    def to(self, points: Factor, index: Rows) -> torch.Tensor:
        """Return k of the rows of `index` of some points: (r, R) float32."""
        return self._powers(_beside_norms(points.rows(index, torch.float32)) @ self._rows.T)

    def gains(self, index: torch.Tensor, best: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Return sum_x share(x) max(k(x, c) - best(x), 0) of the points of `index`: (r,).

        Nothing but a tile of the kernel exists at any time.
        """
        here = _beside_norms(self._points.rows(index, torch.float32))
        found = torch.zeros(len(here))
        room = torch.empty(len(here) * TILE[1])
        for start in range(0, len(best), TILE[1]):
            part = slice(start, start + TILE[1])
            some = self._rows[part]
            tile = room[: len(here) * len(some)].view(len(here), len(some))
            similar = self._powers(torch.mm(here, some.T, out=tile))
            found.addmv_(similar.sub_(best[part]).clamp_(min=0), share[part])
        return found

    def _powers(self, squared: torch.Tensor) -> torch.Tensor:
        """Turn squared distances into k, in place."""
        torch.threshold_(squared, ROUNDING, 0.0)
        return squared.mul_(self._scale).clamp_(min=SMALLEST).exp2_()


def _beside_norms(rows: torch.Tensor) -> torch.Tensor:
    norms = rows.square().sum(dim=1, keepdim=True)
    return torch.cat([rows, norms, torch.ones_like(norms)], dim=1)


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

    Work about N R D once and R D for each bound that was too high; memory R D and, for each
    thread, a tile.
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
    first = search.bound.copy()
    for _ in range(n):
        search.choose()
    return Coverage(np.asarray(search.chosen, np.int64), first, search.bound, len(references))


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
        self.bound: Values = np.full(points.shape[0], -1.0)
        self._measured = np.zeros(points.shape[0], np.int64)  # after how many choices
        self._measure(eligible)

    def choose(self) -> None:
        """Choose the row of the largest gain."""
        now, least, together = len(self.chosen), 0.0, TOGETHER
        row = int(self.bound.argmax())
        while self._measured[row] < now:
            rows = np.flatnonzero((self.bound >= least) & (self._measured < now))
            if len(rows) > together:
                rows = rows[np.argpartition(-self.bound[rows], together)[:together]]
            self._measure(rows)
            least, together = max(least, self.bound[rows].max()), 2 * together
            row = int(self.bound.argmax())
        similar = self._kernel.to(self._points, torch.tensor([row]))[0]
        torch.maximum(self._best, similar, out=self._best)
        self.chosen.append(row)
        self.bound[row] = -1.0

    def _measure(self, rows: IntArray) -> None:
        """Measure gains anew."""

        def some(part: IntArray) -> None:
            index = torch.from_numpy(part)
            self.bound[part] = self._kernel.gains(index, self._best, self._share).numpy()

        starts = range(0, len(rows), TILE[0])
        in_threads(some, [rows[start : start + TILE[0]] for start in starts])
        self._measured[rows] = len(self.chosen)
