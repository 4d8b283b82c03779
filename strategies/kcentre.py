"""k-centre greedy: always the point farthest from all chosen ones (Sener and Savarese 2018).

The textbook loop measures all N points against each new centre. Distances only shrink, so an old
distance is an upper bound: it is enough to bring the farthest few up to date, many centres at a
time, until the farthest of all is up to date. The choice is the same, ties to the lowest index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from strategies.gradients import Centres, OuterProducts, Points
from strategies.pool import IntArray

# Centres per pass when all distances are brought up to date at the end.
BLOCK = 256
SMALLEST_REFRESH = 32


@dataclass(frozen=True)
class KCentre:
    """The result of k-centre greedy.

    Attributes:
        indices: (n,) chosen rows in order.
        squared_distances: (N,) for a chosen row, its squared distance to the nearest centre when
            it was chosen; for any other, that to the nearest of all centres.
    """

    indices: IntArray
    squared_distances: npt.NDArray[np.float64]


def k_centre_greedy(
    points: OuterProducts, n: int, nearest: torch.Tensor, eligible: torch.Tensor
) -> KCentre:
    """Choose n eligible rows, each the farthest from the centres so far.

    Args:
        points: N embeddings.
        n: number of rows, at most the number of eligible ones.
        nearest: (N,) float64 squared distances to the centres there are already. All inf: there
            are none, and the first choice is the eligible row nearest to the mean of the rows.
        eligible: (N,) bool.

    Returns:
        The choice. Without an earlier centre the first row counts as far as the farthest other.
    """
    search = _Search(points, n, nearest, eligible)
    if bool(torch.isinf(nearest).all()):
        search.choose(_central(points, eligible))
        search.catch_up()
        search.at_choice[0] = max(0.0, float(search.bound.max()))
    while len(search.chosen) < n:
        search.choose(search.farthest())
    search.catch_up()
    squared = search.nearest.cpu().numpy()
    squared[search.chosen] = search.at_choice
    return KCentre(np.asarray(search.chosen, np.int64), squared)


class _Search:
    """The state of one greedy search: upper bounds, and how many centres each has seen."""

    def __init__(
        self, points: OuterProducts, n: int, nearest: torch.Tensor, eligible: torch.Tensor
    ) -> None:
        self.points = points
        self.nearest = nearest.clone()
        self.bound = torch.where(eligible, nearest, -1.0)
        self.seen = torch.zeros(points.size, dtype=torch.int64, device=points.device)
        self.chosen: list[int] = []
        self.at_choice: list[float] = []
        self._caught_up = 0
        self._refresh = SMALLEST_REFRESH
        widths = points.left.shape[1], points.right.shape[1]
        self._left, self._right = (
            torch.empty((n, width), dtype=points.dtype, device=points.device) for width in widths
        )
        self._norms = torch.empty(n, dtype=torch.float64, device=points.device)

    def choose(self, row: int) -> None:
        place = len(self.chosen)
        index = torch.tensor([row], device=self.points.device)
        point = self.points.take(index, self.points.dtype)
        self._left[place], self._right[place] = point.left[0], point.right[0]
        self._norms[place] = point.squared_norms[0]
        self.chosen.append(row)
        self.at_choice.append(float(self.bound[row]))
        self.bound[row] = -1.0

    def farthest(self) -> int:
        """Bring the farthest rows up to date until the farthest of all is."""
        self._refresh = max(SMALLEST_REFRESH, self._refresh // 2)
        while True:
            row = int(self.bound.argmax())
            if int(self.seen[row]) == len(self.chosen):
                return row
            rows = self.bound.topk(min(self._refresh, self.points.size)).indices
            # topk breaks ties freely; the farthest row itself has to be among those refreshed.
            rows = torch.cat([rows, rows.new_tensor([row])])
            rows = rows[(self.bound[rows] >= 0) & (self.seen[rows] < len(self.chosen))]
            self._bring_up_to_date(rows)
            self._refresh *= 2

    def _bring_up_to_date(self, rows: torch.Tensor) -> None:
        centres = self._centres(int(self.seen[rows].min()), len(self.chosen))
        self.bound[rows] = self.points.nearest_squared(rows, centres, self.bound[rows])
        self.seen[rows] = len(self.chosen)

    def catch_up(self) -> None:
        """Bring all rows up to date, a block of centres at a time."""
        for start in range(self._caught_up, len(self.chosen), BLOCK):
            stop = min(start + BLOCK, len(self.chosen))
            self.points.shrink(self.nearest, self._centres(start, stop))
        self._caught_up = len(self.chosen)
        self.bound = torch.where(self.bound >= 0, self.nearest, -1.0)
        self.seen[:] = len(self.chosen)

    def _centres(self, start: int, stop: int) -> Centres:
        part = slice(start, stop)
        rows = torch.tensor(self.chosen[part], device=self.points.device)
        points = Points(self._left[part], self._right[part], self._norms[part])
        return Centres(self.points, rows, points)


def _central(points: OuterProducts, eligible: torch.Tensor) -> int:
    """Return the eligible row nearest to the mean of all rows (of the right factor)."""
    total = torch.zeros(points.right.shape[1], dtype=torch.float64, device=points.device)
    for part in points.chunks():
        total += points.right.rows(part, torch.float64).sum(dim=0)
    mean = total / points.size
    squared = torch.full((points.size,), torch.inf, dtype=torch.float64, device=points.device)
    for part in points.chunks(2 * points.right.shape[1]):
        difference = points.right.rows(part, torch.float64) - mean
        squared[part] = difference.square_().sum(dim=1)
    return int(torch.where(eligible, squared, torch.inf).argmin())
