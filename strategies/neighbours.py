"""The k most similar rows by cosine: exact on small pools, by cells on large ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from strategies.clusters import assign, k_means
from strategies.factors import Dense
from strategies.rows import CHUNK_ELEMENTS

EXACT_LIMIT = 20_000
# Cells searched around each cell. Seven in eight true neighbours or more are found on clustered
# features (tests/strategies/test_neighbours.py).
PROBES = 8


@dataclass(frozen=True)
class Neighbours:
    """indices (N, k), -1 where there are fewer; cosines (N, k), 0 there; how they were found."""

    indices: torch.Tensor
    cosines: torch.Tensor
    method: str


def nearest_neighbours(
    points: torch.Tensor, k: int, rng: np.random.Generator, *, exact_limit: int = EXACT_LIMIT
) -> Neighbours:
    """Find the k rows most similar to each row, itself left out.

    Args:
        points: (N, D) float32 rows of length 1 (or 0).
        k: neighbours per row.
        rng: seeds the cells.
        exact_limit: up to this many rows all pairs are compared, N^2 D work. Above it rows are
            clustered into sqrt(N) cells and compared within their cell and the PROBES - 1
            nearest ones: about 8 N^1.5 D.
    """
    size = len(points)
    indices = torch.full((size, k), -1, dtype=torch.int64)
    cosines = torch.zeros((size, k), dtype=points.dtype)
    exact = size <= exact_limit
    everything = torch.arange(size)
    groups = iter([(everything, everything)]) if exact else _cells(points, rng)
    for rows, others in groups:
        for some in torch.split(rows, max(1, CHUNK_ELEMENTS // max(1, len(others)))):
            _search(points, some, others, indices, cosines)
    return Neighbours(indices, cosines, "exact" if exact else "cells")


def _cells(
    points: torch.Tensor, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield each cell's rows and the rows to compare them with."""
    factor = Dense(points)
    labels = torch.from_numpy(assign(k_means(factor, round(len(points) ** 0.5), rng), factor))
    members = [(labels == cell).nonzero().squeeze(1) for cell in range(int(labels.max()) + 1)]
    members = [rows for rows in members if len(rows)]
    centres = torch.stack([points[rows].mean(dim=0) for rows in members])
    nearest = torch.cdist(centres, centres).topk(min(PROBES, len(members)), largest=False).indices
    for rows, cells in zip(members, nearest.tolist(), strict=True):
        yield rows, torch.cat([members[cell] for cell in cells])


def _search(
    points: torch.Tensor,
    rows: torch.Tensor,
    others: torch.Tensor,
    indices: torch.Tensor,
    cosines: torch.Tensor,
) -> None:
    """Fill in the nearest of `others` for `rows`."""
    similar = points[rows] @ points[others].T
    similar[rows[:, None] == others[None, :]] = -torch.inf
    found = similar.topk(min(indices.shape[1], len(others)), dim=1)
    valid = torch.isfinite(found.values)
    columns = slice(0, found.values.shape[1])
    indices[rows, columns] = torch.where(valid, others[found.indices], -1)
    cosines[rows, columns] = torch.where(valid, found.values, 0.0)
