"""Row-chunked access to arrays that may be memory-mapped, half precision or on a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from strategies.pool import FloatArray

# Elements of one float32 chunk: 16 MiB, the unit in which every extra-memory bound is stated.
CHUNK_ELEMENTS = 1 << 22
# An accelerator has the memory, and needs larger pieces of work: 256 MiB.
ACCELERATOR_CHUNK_ELEMENTS = 1 << 26


def as_tensor(array: npt.ArrayLike | torch.Tensor) -> torch.Tensor:
    """View an array as a tensor without copying it; a memory map stays on disk."""
    if isinstance(array, torch.Tensor):
        return array.detach()
    values = np.asanyarray(array)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float32)
    if any(stride < 0 for stride in values.strides) or not values.dtype.isnative:
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    with warnings.catch_warnings():  # Read-only maps are fine: nothing here writes to its input.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(values)


def chunks(size: int, width: int, device: torch.device | None = None) -> Iterator[slice]:
    """Cut `size` rows into slices of at most CHUNK_ELEMENTS values of rows `width` wide."""
    on_cpu = device is None or device.type == "cpu"
    elements = CHUNK_ELEMENTS if on_cpu else ACCELERATOR_CHUNK_ELEMENTS
    rows = max(1, elements // max(1, width))
    for start in range(0, size, rows):
        yield slice(start, min(start + rows, size))


def map_rows(
    function: Callable[[npt.NDArray[np.float64]], npt.NDArray[Any]], array: FloatArray
) -> npt.NDArray[np.float64]:
    """Apply a row-wise function to float64 chunks of rows and join the results.

    Args:
        function: (r, ...) float64 -> (r,) or (r, C).
        array: (N, ...), any float type, possibly memory-mapped.
    """
    tensor = as_tensor(array)
    width = int(np.prod(tensor.shape[1:], dtype=np.int64))
    parts = [
        function(tensor[part].to("cpu", torch.float64).numpy())
        for part in chunks(tensor.shape[0], 4 * width)
    ]
    joined: npt.NDArray[np.float64] = np.concatenate(parts).astype(np.float64, copy=False)
    return joined
