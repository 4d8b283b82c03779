"""Gradient embeddings g_i = left_i (x) right_i that are never materialised.

With one linear classifier the gradient of task i is the outer product of a_i (K) and z_i (D), so
<g_i, g_j> = (a_i . a_j)(z_i . z_j): N (K + D) numbers instead of N K D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt
import torch

from strategies.factors import Dense, Factor, Rows
from strategies.rows import chunks

# Below this share of the squared norm a float32 difference of squares is recomputed in float64.
CANCELLATION = 1e-4
# Below this share a float64 difference of squares is rounding: the two embeddings are equal.
DUPLICATE = 1e-12


@dataclass(frozen=True)
class Points:
    """A few embeddings taken out: left (m, K), right (m, D), squared norms (m,) float64."""

    left: torch.Tensor
    right: torch.Tensor
    squared_norms: torch.Tensor

    def squared_distances(self, other: Points) -> torch.Tensor:
        """Return (m, m') squared distances; rounding below DUPLICATE is an exact 0."""
        inner = (self.left @ other.left.T) * (self.right @ other.right.T)
        scale = self.squared_norms[:, None] + other.squared_norms[None, :]
        squared = scale - 2 * inner
        return torch.where(squared <= DUPLICATE * scale, 0.0, squared)


class OuterProducts:
    """N embeddings left_i (x) right_i, given by their factors.

    Args:
        left: (N, K) array, memory map, tensor (any device) or Factor.
        right: (N, D), likewise.

    Reads are in chunks of rows: beyond the factors, any method needs at most a few chunks of
    `strategies.rows.CHUNK_ELEMENTS` values and O(N) numbers.
    """

    def __init__(
        self,
        left: npt.ArrayLike | torch.Tensor | Factor,
        right: npt.ArrayLike | torch.Tensor | Factor,
    ) -> None:
        self.left: Factor = left if isinstance(left, Factor) else Dense(left)
        self.right: Factor = right if isinstance(right, Factor) else Dense(right)
        if self.left.shape[0] != self.right.shape[0]:
            raise ValueError(
                f"The factors have {self.left.shape[0]} and {self.right.shape[0]} rows; "
                "each embedding needs one row of both."
            )
        if self.left.device != self.right.device:
            raise ValueError(
                f"The factors are on {self.left.device} and {self.right.device}; "
                "move both to one device."
            )
        self.size = self.left.shape[0]
        self.device = self.left.device
        self.dtype = torch.promote_types(self.left.dtype, self.right.dtype)
        self._squared_norms: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.size

    @property
    def squared_norms(self) -> torch.Tensor:
        """Squared norms |left_i|^2 |right_i|^2: (N,) float64 on the factors' device."""
        if self._squared_norms is None:
            norms = torch.empty(self.size, dtype=torch.float64, device=self.device)
            for part in self.chunks():
                norms[part] = self.left.squared_norms(part) * self.right.squared_norms(part)
            self._squared_norms = norms
        return self._squared_norms

    def chunks(self) -> list[slice]:
        """Return row slices that fill one chunk when they are copied."""
        return list(chunks(self.size, self.left.shape[1] + self.right.shape[1], self.device))

    def take(self, index: Rows, dtype: torch.dtype = torch.float64) -> Points:
        """Take the rows of `index` out."""
        return Points(
            self.left.rows(index, dtype), self.right.rows(index, dtype), self.squared_norms[index]
        )

    def centres(self, rows: torch.Tensor) -> Centres:
        """Take the rows out as centres to measure distances to."""
        return Centres(self, rows, self.take(rows, self.dtype))

    def nearest_squared(self, index: Rows, centres: Centres, bound: torch.Tensor) -> torch.Tensor:
        """Return min(bound, squared distance to the nearest centre) for the rows of `index`.

        Args:
            index: the rows, r of them.
            centres: m centres, of these embeddings or of others of the same shape.
            bound: (r,) float64 squared distances already known.

        Note: a difference of squares loses what float32 cannot hold, so rows that come out closer
        than CANCELLATION to a centre (duplicates above all) are computed again in float64.
        """
        points = centres.points
        inner = self.left.times(index, points.left.to(self.dtype))
        inner *= self.right.times(index, points.right.to(self.dtype))
        offsets = points.squared_norms.to(inner.dtype)
        nearest = torch.sub(offsets, inner, alpha=2, out=inner).amin(dim=1).to(torch.float64)
        norms = self.squared_norms[index]
        nearest += norms
        close = ((nearest < CANCELLATION * norms) & (bound > 0)).nonzero().squeeze(1)
        if len(close):
            rows = close + index.start if isinstance(index, slice) else index[close]
            nearest[close] = self._precisely(rows, centres)
        return torch.minimum(nearest.clamp_(min=0), bound)

    def _precisely(self, rows: torch.Tensor, centres: Centres) -> torch.Tensor:
        """Return the squared distance of each of some rows to the nearest centre in float64."""
        precise = centres.source.take(centres.rows)
        width = 2 * (self.left.shape[1] + self.right.shape[1] + len(centres.rows))
        parts = [
            self.take(rows[part]).squared_distances(precise).amin(dim=1)
            for part in chunks(len(rows), width, self.device)
        ]
        return torch.cat(parts)

    def shrink(self, nearest: torch.Tensor, centres: Centres) -> None:
        """Lower `nearest`, (N,) squared distances, in place to those to the nearest new centre."""
        if not len(centres.rows):
            return
        # What is read in place needs no buffer; the products of both factors do.
        width = self.left.copied + self.right.copied + 2 * len(centres.rows)
        for part in chunks(self.size, width, self.device):
            nearest[part] = self.nearest_squared(part, centres, nearest[part])


@dataclass(frozen=True)
class Centres:
    """Rows of some embeddings as centres: their source, row numbers (m,) and factors."""

    source: OuterProducts
    rows: torch.Tensor
    points: Points
