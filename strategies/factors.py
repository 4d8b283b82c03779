"""The two factors of a gradient: row-indexable matrices that are never copied as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy.typing as npt
import torch

from strategies.rows import CHUNK_ELEMENTS, as_tensor

Rows = slice | torch.Tensor


@runtime_checkable
class Factor(Protocol):
    """One factor: N rows, read in chunks.

    Attributes:
        shape: (N, width).
        dtype: in which its products are computed.
        device: where it is.
        copied: values per row that `times` copies; 0 where it reads the array as it is.
    """

    shape: tuple[int, int]
    dtype: torch.dtype
    device: torch.device
    copied: int

    def rows(self, index: Rows, dtype: torch.dtype) -> torch.Tensor:
        """Return the rows of `index` as a dense (r, width) tensor of `dtype`."""

    def times(self, index: Rows, other: torch.Tensor) -> torch.Tensor:
        """Return rows[index] @ other.T: (r, m) for `other` (m, width)."""

    def squared_norms(self, index: Rows) -> torch.Tensor:
        """Return the squared Euclidean norms of rows[index]: (r,) float64."""


def squared_norms(values: torch.Tensor) -> torch.Tensor:
    """Return the squared norm of each row of (r, width) in float64."""
    # In pieces, because the norm copies what it reads to float64.
    rows = max(1, CHUNK_ELEMENTS // (8 * max(1, values.shape[1])))
    pieces = [
        torch.linalg.vector_norm(piece, dim=1, dtype=torch.float64)
        for piece in torch.split(values, rows)
    ]
    return torch.cat(pieces).square_()


class Dense:
    """A plain (N, D) array, memory map or tensor.

    Half precision is computed with in float32, float64 in float64.
    """

    def __init__(
        self, array: npt.ArrayLike | torch.Tensor, device: str | torch.device | None = None
    ) -> None:
        tensor = as_tensor(array)
        if tensor.ndim != 2:
            raise ValueError(f"A factor must be a matrix, not of shape {tuple(tensor.shape)}.")
        self._tensor = tensor if device is None else tensor.to(device)
        self.shape = (tensor.shape[0], tensor.shape[1])
        self.dtype = torch.float64 if tensor.dtype == torch.float64 else torch.float32
        self.device = self._tensor.device
        self.copied = 0 if tensor.dtype == self.dtype else tensor.shape[1]

    def rows(self, index: Rows, dtype: torch.dtype) -> torch.Tensor:
        return self._tensor[index].to(dtype)

    def times(self, index: Rows, other: torch.Tensor) -> torch.Tensor:
        return self.rows(index, other.dtype) @ other.T

    def squared_norms(self, index: Rows) -> torch.Tensor:
        return squared_norms(self.rows(index, self.dtype))


class WeightedBlocks:
    """The concatenation [w_1 z_1 ; ... ; w_M z_M] (BMMAL Eq. 15), never built as a whole.

    Args:
        blocks: M matrices (N, D_m).
        weights: (N, M) weight of each block per row; None: all 1.
    """

    def __init__(self, blocks: Sequence[Factor], weights: torch.Tensor | None = None) -> None:
        self.blocks = tuple(blocks)
        self._widths = [block.shape[1] for block in blocks]
        self.device = blocks[0].device
        self._weights = None if weights is None else weights.to(self.device)
        self.shape = (blocks[0].shape[0], sum(self._widths))
        self.dtype = torch.float32
        if any(block.dtype == torch.float64 for block in blocks):
            self.dtype = torch.float64
        self.copied = max(block.copied for block in blocks)

    def _weight(self, index: Rows, column: int, dtype: torch.dtype) -> torch.Tensor | None:
        if self._weights is None:
            return None
        return self._weights[index, column].to(dtype).unsqueeze(1)

    def rows(self, index: Rows, dtype: torch.dtype) -> torch.Tensor:
        parts = []
        for column, block in enumerate(self.blocks):
            weight, values = self._weight(index, column, dtype), block.rows(index, dtype)
            parts.append(values if weight is None else values * weight)
        return torch.cat(parts, dim=1)

    def times(self, index: Rows, other: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor | None = None
        others = torch.split(other, self._widths, dim=1)
        for column, (block, part) in enumerate(zip(self.blocks, others, strict=True)):
            weight, product = self._weight(index, column, other.dtype), block.times(index, part)
            # w (z . c) costs m per row, (w z) . c would cost D_m.
            if total is None:
                total = product if weight is None else product.mul_(weight)
            else:
                total = total.add_(product) if weight is None else total.addcmul_(product, weight)
        assert total is not None  # M >= 1
        return total

    def squared_norms(self, index: Rows) -> torch.Tensor:
        total = torch.zeros(1, dtype=torch.float64, device=self.device)
        for column, block in enumerate(self.blocks):
            norms, weight = block.squared_norms(index), self._weight(index, column, torch.float64)
            total = total + (norms if weight is None else norms * weight.squeeze(1).square())
        return total


class PseudoLabelResidual:
    """a = p - pseudo-label: the gradient of the loss at the logits (BADGE, BMMAL Eq. 3).

    The pseudo-label is onehot(argmax p) for softmax and 1[p >= .5] for sigmoid probabilities.
    """

    def __init__(self, probabilities: Dense, *, multilabel: bool) -> None:
        self._probabilities = probabilities
        self._multilabel = multilabel
        self.shape, self.dtype = probabilities.shape, probabilities.dtype
        self.device = probabilities.device
        self.copied = 2 * probabilities.shape[1]

    def rows(self, index: Rows, dtype: torch.dtype) -> torch.Tensor:
        values = self._probabilities.rows(index, dtype)
        if self._multilabel:
            return values - (values >= 0.5).to(dtype)
        label = values.argmax(dim=1, keepdim=True)
        return values.scatter_add(1, label, values.new_full(label.shape, -1.0))

    def times(self, index: Rows, other: torch.Tensor) -> torch.Tensor:
        return self.rows(index, other.dtype) @ other.T

    def squared_norms(self, index: Rows) -> torch.Tensor:
        return squared_norms(self.rows(index, self.dtype))
