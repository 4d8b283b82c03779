"""k-centre greedy: always the point farthest from all chosen ones (Sener and Savarese 2018).

The textbook loop measures all N points against each new centre. Distances only shrink, so an old
distance is an upper bound: while the farthest of the m points with the largest bounds is still
farther than every bound outside these m, it is the farthest of all, and only the m have to be
measured against each new centre. The others catch up with many centres at a time, by matrix
products. The choice is that of the textbook, ties to the lowest index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from strategies.gradients import OuterProducts
from strategies.pool import IntArray

# Centres per pass when all distances catch up.
BLOCK = 256
# The farthest points that are kept up to date, at first; more when they are soon used up.
FRONT = 512
# A front should last for this many choices.
LASTING = 16


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
    search = _Search(points, nearest, eligible)
    if bool(torch.isinf(nearest).all()):
        search.choose(_central(points, eligible))
        search.catch_up()
        search.at_choice[0] = max(0.0, float(search.bound.max()))
    while len(search.chosen) < n:
        search.choose_from_front(n)
    search.catch_up()
    squared = search.nearest.cpu().numpy()
    squared[search.chosen] = search.at_choice
    return KCentre(np.asarray(search.chosen, np.int64), squared)


class _Search:
    """The state of one greedy search.

    Attributes:
        chosen: the centres so far, in order.
        at_choice: the squared distance of each when it was chosen.
        nearest: (N,) squared distances to all but the last few centres.
        bound: (N,) the same, -1 for rows that cannot be chosen.
    """

    def __init__(
        self, points: OuterProducts, nearest: torch.Tensor, eligible: torch.Tensor
    ) -> None:
        self.points = points
        self.nearest = nearest.clone()
        self.bound = torch.where(eligible, nearest, -1.0)
        self.chosen: list[int] = []
        self.at_choice: list[float] = []
        self._caught_up = 0
        self._front = FRONT

    def choose(self, row: int, squared: float = 0.0) -> None:
        self.chosen.append(row)
        self.at_choice.append(squared)
        self.bound[row] = -1.0

    def catch_up(self) -> None:
        """Bring the distances of all rows up to date, a block of centres at a time."""
        pending = torch.tensor(self.chosen[self._caught_up :], device=self.points.device)
        for some in torch.split(pending.long(), BLOCK):
            self.points.shrink(self.nearest, self.points.centres(some))
        self._caught_up = len(self.chosen)
        self.bound = torch.where(self.bound >= 0, self.nearest, -1.0)

    def choose_from_front(self, n: int) -> None:
        """Choose until there are n centres or a row outside the front may be the farthest."""
        self.catch_up()
        row, before = int(self.bound.argmax()), len(self.chosen)
        rows, outside = self._farthest_rows()
        front = self._copy(rows)
        bound = self.bound[rows]
        squared = float(self.bound[row])
        while squared >= 0:
            self.choose(row, squared)
            bound[rows == row] = -1.0
            if len(self.chosen) == n:
                break
            centre = self.points.centres(torch.tensor([row], device=self.points.device))
            bound = front.nearest_squared(slice(0, len(rows)), centre, bound)
            place = int(bound.argmax())
            row, squared = int(rows[place]), float(bound[place])
            if squared <= outside:
                break
        if len(self.chosen) - before < LASTING:
            self._front = min(2 * self._front, self.points.size)

    def _farthest_rows(self) -> tuple[torch.Tensor, float]:
        """Return the front's rows, ascending, and the largest bound of any other row."""
        count = min(self._front, self.points.size)
        if count == self.points.size:
            return torch.arange(count, device=self.points.device), -1.0
        top = self.bound.topk(count + 1)
        return top.indices[:-1].sort().values, float(top.values[-1])

    def _copy(self, rows: torch.Tensor) -> OuterProducts:
        front = self.points.take(rows, self.points.dtype)
        return OuterProducts(front.left, front.right)


def _central(points: OuterProducts, eligible: torch.Tensor) -> int:
    """Return the eligible row nearest to the mean of all rows (of the right factor)."""
    total = torch.zeros(points.right.shape[1], dtype=torch.float64, device=points.device)
    for part in points.chunks():
        total += points.right.rows(part, points.dtype).sum(dim=0, dtype=torch.float64)
    mean = (total / points.size).to(points.dtype).unsqueeze(0)
    squared = torch.full((points.size,), torch.inf, dtype=torch.float64, device=points.device)
    for part in points.chunks():
        # |x|^2 - 2 x . mean: the distance less a constant.
        squared[part] = points.squared_norms[part] - 2 * points.right.times(part, mean).squeeze(1)
    return int(torch.where(eligible, squared, torch.inf).argmin())
