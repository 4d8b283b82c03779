"""Prepared vectors on one scale: what is standardised, reduced and centred on the whole pool.

Statistics come from every prepared task, never from the labels alone: a few labels would set
scales by chance, and distances between tasks would change with each label.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays import Float32Array
from model.encoders.base import Module
from model.encoders.views import View, measured
from model.inputs import Column

MOST_DENSE, MOST_COUNTS = 256, 200
_CLIP = 5.0
_MOST_ROWS = 2000
_SPARE, _POWERS = 20, 2


class ScaledView(nn.Module):
    """One view (B, w) as centred coordinates (B, r) whose mean square length on the pool is 1.

    Dense values are standardised, outliers cut, and rotated into the pool's principal components;
    counts become unit vectors of log(1 + c) idf, reduced by a truncated SVD (latent semantics).

    Attributes:
        centre: (w,) means of dense values.
        scale: (w,) one over the deviations, 0 for constants; idf for counts.
        components: (w, r) the pool's first directions, scaled; zero columns where it has fewer.
        origin: (r,) the pool's mean in these coordinates.
    """

    centre: Tensor
    scale: Tensor
    components: Tensor
    origin: Tensor

    def __init__(self, view: View) -> None:
        super().__init__()
        self.counts = view.kind == "counts"
        self.width = min(view.width, MOST_COUNTS if self.counts else MOST_DENSE)
        self.register_buffer("centre", torch.zeros(view.width))
        self.register_buffer("scale", torch.ones(view.width))
        self.register_buffer("components", torch.zeros(view.width, self.width))
        self.register_buffer("origin", torch.zeros(self.width))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, r)."""
        return self.flat(x) @ self.components - self.origin

    def flat(self, x: Tensor) -> Tensor:
        """Return (B, w) on one scale, before the reduction."""
        x = torch.nan_to_num(x)
        if self.counts:
            return nn.functional.normalize(x.sign() * x.abs().log1p() * self.scale, dim=1)
        return ((x - self.centre) * self.scale).clamp(-_CLIP, _CLIP)

    def fit(self, values: Float32Array) -> None:
        """Take statistics and directions from the pool's (N, w) values."""
        if self.counts:
            found = (values != 0).sum(axis=0)
            self.scale.copy_(torch.from_numpy(np.log((1 + len(values)) / (1 + found)) + 1))
        else:
            centre, scale = _standard(values)
            self.centre.copy_(torch.from_numpy(centre))
            self.scale.copy_(torch.from_numpy(scale))
        flat = self.flat(torch.from_numpy(values))
        # Rows are longer along directions that were made from them: others measure the length.
        made, measured_on = (flat[::2], flat[1::2]) if len(flat) > _MOST_ROWS else (flat, flat)
        components = _directions(made, self.width)
        reduced = measured_on @ components
        origin = reduced.mean(dim=0)
        length = (reduced - origin).square().sum(dim=1).mean().sqrt()
        factor = 1 / length if length > 1e-6 else torch.zeros(())  # the pool is one point
        self.components.zero_()
        self.components[:, : components.shape[1]] = components * factor
        self.origin.zero_()
        self.origin[: components.shape[1]] = origin * factor


class Scaled(Module):
    """A prepared vector's views side by side: (B, w) to (B, width) of mean square length 1.

    Note: each view that says anything has the same share in it.

    Attributes:
        slices: view's name -> its columns in the result.
    """

    def __init__(self, views: Sequence[View], width: int) -> None:
        super().__init__()
        views = measured(views, width)
        self.parts = nn.ModuleList(ScaledView(view) for view in views)
        self.inputs = [view.width for view in views]
        self.slices: dict[str, slice] = {}
        start = 0
        for view, part in zip(views, self.scaled, strict=True):
            self.slices[view.name] = slice(start, start + part.width)
            start += part.width
        self.width = start

    @property
    def scaled(self) -> list[ScaledView]:
        """The views' own scalings."""
        return [part for part in self.parts if isinstance(part, ScaledView)]

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        pieces = x.split(self.inputs, dim=1)
        parts = [part(piece) for part, piece in zip(self.scaled, pieces, strict=True)]
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def fit(self, column: Column) -> None:
        """Take all statistics from the rows of a modality that are there.

        Note: from at most 4,000 of them, evenly spread, which bounds the time of a round.
        """
        rows = np.flatnonzero(column.row >= 0)
        if len(rows) > 2 * _MOST_ROWS:
            rows = rows[np.linspace(0, len(rows) - 1, 2 * _MOST_ROWS).astype(np.int64)]
        values = np.nan_to_num(column.gather(rows).astype(np.float32))
        ends = np.cumsum(self.inputs)[:-1]
        for part, piece in zip(self.scaled, np.split(values, ends, axis=1), strict=True):
            part.fit(piece)
        telling = sum(bool(part.components.any()) for part in self.scaled)
        for part in self.scaled:
            part.components.div_(max(1, telling) ** 0.5)
            part.origin.div_(max(1, telling) ** 0.5)


def _standard(values: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return means and one over the deviations (w,), of values whose outliers are pulled in.

    An outlier is further from the middle 98% of its feature than 1.5 times their range.
    """
    few = values[:: max(1, len(values) // 1000)]
    low, high = np.percentile(few, [1, 99], axis=0)
    reach = 1.5 * (high - low)
    reach[reach == 0] = np.inf  # rare events: nearly all values are the same
    inside = values.clip((low - reach).astype(np.float32), (high + reach).astype(np.float32))
    centre = inside.mean(axis=0, dtype=np.float64)
    inside -= centre.astype(np.float32)
    deviation = np.sqrt(np.square(inside).mean(axis=0, dtype=np.float64))
    steady = deviation <= 1e-6 * np.maximum(np.abs(centre), 1e-12)
    scale = np.where(steady, 0.0, 1 / np.where(steady, 1.0, deviation))
    return centre.astype(np.float32), scale.astype(np.float32)


def _directions(rows: Tensor, width: int) -> Tensor:
    """Return (w, at most `width`) orthonormal directions in which rows (N, w) are longest.

    Where they are few of many, by a randomised SVD (Halko et al. 2011) with a fixed seed.
    """
    width = min(width, *rows.shape)
    if len(rows) < rows.shape[1] and 2 * width >= len(rows):
        # Of a matrix of so low a rank LAPACK may find no eigenvectors at all.
        right: Tensor = torch.linalg.svd(rows.double(), full_matrices=False)[2]
        return right[:width].T.float()
    if 2 * width >= min(rows.shape):
        vectors: Tensor = torch.linalg.eigh((rows.T @ rows).double())[1]
        return vectors.flip(1)[:, :width].float()
    generator = torch.Generator().manual_seed(0)
    sketch = torch.randn(rows.shape[1], width + _SPARE, generator=generator)
    for _ in range(_POWERS):
        sketch = torch.linalg.qr(rows.T @ (rows @ sketch))[0]
    image = rows @ sketch
    turn = torch.linalg.eigh((image.T @ image).double())[1].float()
    return sketch @ turn.flip(1)[:, :width]
