"""Prepared inputs of N samples: where their arrays lie in the cache, not the arrays themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from model.arrays import Array
from strategies.pool import BoolArray


@dataclass(frozen=True)
class Failure:
    """A value that is treated as absent, and why.

    Attributes:
        index: the sample.
        modality: name of the modality.
        reason: in plain words.
        passing: whether it may be had later although nobody mends anything.
    """

    index: int
    modality: str
    reason: str
    passing: bool = False


@dataclass(frozen=True)
class Column:
    """One modality of N samples: rows of memory-mapped shards.

    Attributes:
        fingerprint: of the encoder that prepared the arrays.
        shape: of one prepared array; () when no sample has the modality.
        shards: arrays (n, *shape) the rows are in.
        shard: (N,) index into `shards`, -1 where absent.
        row: (N,) row in that shard, -1 where absent.
    """

    fingerprint: str
    shape: tuple[int, ...]
    shards: tuple[Array, ...]
    shard: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]

    def take(self, indices: npt.NDArray[np.int64]) -> Column:
        """Return the column of some samples."""
        return replace(self, shard=self.shard[indices], row=self.row[indices])

    def gather(self, indices: npt.NDArray[np.int64] | slice) -> Array:
        """Read (B, *shape) arrays; zeros where absent."""
        shard, row = self.shard[indices], self.row[indices]
        owners = np.unique(shard)
        if len(owners) == 1 and owners[0] >= 0:
            values = self.shards[owners[0]]
            if row[-1] - row[0] == len(row) - 1 and (np.diff(row) == 1).all():
                return values[row[0] : row[-1] + 1]
            return values[row]
        dtype = self.shards[0].dtype if self.shards else np.dtype(np.float16)
        result = np.zeros((len(row), *self.shape), dtype)
        for owner in owners[owners >= 0]:
            here = shard == owner
            result[here] = self.shards[owner][row[here]]
        return result


@dataclass(frozen=True)
class Batch:
    """B samples as tensors: values per modality (B, *shape) and present (B, M)."""

    values: tuple[torch.Tensor, ...]
    present: torch.Tensor


@dataclass(frozen=True)
class Inputs:
    """Prepared inputs of N samples; arrays stay memory-mapped in the cache.

    Attributes:
        size: N.
        present: (N, M) columns in `schema.names` order.
        failures: values that could not be used; their modality counts as absent.
        columns: one per modality.
    """

    size: int
    present: BoolArray
    failures: tuple[Failure, ...]
    columns: tuple[Column, ...]

    def take(self, indices: Sequence[int] | Array) -> Inputs:
        """Return the inputs of some samples, in the given order."""
        chosen = np.asarray(indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        place = {int(old): new for new, old in enumerate(chosen)} if self.failures else {}
        failures = tuple(
            replace(failure, index=place[failure.index])
            for failure in self.failures
            if failure.index in place
        )
        columns = tuple(column.take(chosen) for column in self.columns)
        return Inputs(len(chosen), self.present[chosen], failures, columns)

    def without(self, shapes: Mapping[int, tuple[int, ...]]) -> Inputs:
        """Return the inputs with some modalities (column -> shape to pretend) absent everywhere."""
        nowhere = np.full(self.size, -1, np.int64)
        present = self.present.copy()
        changed = list(self.columns)
        for column, shape in shapes.items():
            present[:, column] = False
            changed[column] = replace(
                changed[column], shape=shape, shards=(), shard=nowhere.astype(np.int32), row=nowhere
            )
        return replace(self, present=present, columns=tuple(changed))

    def batch(self, indices: npt.NDArray[np.int64] | slice, device: torch.device) -> Batch:
        """Read some samples as tensors on a device."""
        values = tuple(_to_tensor(column.gather(indices), device) for column in self.columns)
        return Batch(values, torch.from_numpy(self.present[indices]).to(device))

    def batches(self, size: int, device: torch.device) -> Iterator[tuple[slice, Batch]]:
        """Stream all samples in order."""
        for start in range(0, self.size, size):
            rows = slice(start, min(start + size, self.size))
            yield rows, self.batch(rows, device)


def _to_tensor(values: Array, device: torch.device) -> torch.Tensor:
    if values.dtype == np.uint16:
        values = values.astype(np.int32)
    elif not values.flags.writeable:
        values = values.copy()
    tensor = torch.from_numpy(values).to(device, non_blocking=True)
    return tensor.float() if tensor.is_floating_point() else tensor
