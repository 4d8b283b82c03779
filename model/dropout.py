"""Dropout that draws eight decisions from each random number."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def dropout(x: Tensor, p: float) -> Tensor:
    """Set a share of the values to zero and scale the others up, so that the mean stays.

    Note: PyTorch draws one number per value, which took half of a training step of small networks
    on a CPU. Here a byte decides, so p is rounded to a 256th; other devices take PyTorch's own.
    """
    if x.device.type != "cpu":
        return nn.functional.dropout(x, p)
    dropped = round(p * 256)
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64)
    words.random_(-(2**63), 2**63 - 1)
    # numpy compares bytes some twenty times faster than PyTorch does
    kept = words.numpy().view(np.uint8)[: x.numel()] >= dropped
    scale = np.float32(256 / max(1, 256 - dropped))
    return x * torch.from_numpy(kept.reshape(x.shape) * scale)


class Dropout(nn.Module):
    """The same as a layer."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return x, with dropout while training."""
        return dropout(x, self.p) if self.training and self.p else x
