"""Simple descriptors of pictures, sounds and sequences that need no weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays import Float32Array

ORIENTATIONS = 9
GRID = 4
GRADIENTS = (GRID - 1) ** 2 * 4 * ORIENTATIONS
COLOURS = 6 * GRID**2 + 64
COURSE = 20 * 12
_GREY = (0.299, 0.587, 0.114)


def oriented_gradients(pictures: Tensor, side: int = 40) -> Tensor:
    """Return histograms of oriented gradients (Dalal & Triggs 2005) of 4 x 4 cells.

    Args:
        pictures: (B, 3, S, S) bytes.
        side: pictures are averaged to this side first, a multiple of 4.

    Returns:
        (B, 324): 3 x 3 blocks of 2 x 2 cells of 9 orientations, each block of length 1.
    """
    grey = (pictures.float() * pictures.new_tensor(_GREY, dtype=torch.float32).view(3, 1, 1)).sum(1)
    grey = nn.functional.adaptive_avg_pool2d(grey / 255, side)
    down, right = torch.gradient(grey, dim=(1, 2))
    turn = (torch.atan2(down, right) / torch.pi).remainder(1.0) * ORIENTATIONS
    low = turn.floor()
    share, length = turn - low, torch.hypot(down, right)
    bins = grey.new_zeros(len(grey), ORIENTATIONS, side, side)
    low = low.long() % ORIENTATIONS
    bins.scatter_(1, low[:, None], (length * (1 - share))[:, None])
    bins.scatter_(1, (low[:, None] + 1) % ORIENTATIONS, (length * share)[:, None])
    cells = nn.functional.avg_pool2d(bins, side // GRID) * (side // GRID) ** 2
    blocks = torch.cat(
        [cells[..., :-1, :-1], cells[..., :-1, 1:], cells[..., 1:, :-1], cells[..., 1:, 1:]], dim=1
    )
    return (blocks / (blocks.square().sum(dim=1, keepdim=True) + 1e-3).sqrt()).flatten(1)


def colours(pictures: Tensor) -> Tensor:
    """Return mean and deviation of each channel on a 4 x 4 grid and the joint 64-bin histogram.

    Args:
        pictures: (B, 3, S, S) bytes.

    Returns:
        (B, 160); the histogram is the square root of shares.
    """
    mean = nn.functional.adaptive_avg_pool2d(pictures.float() / 255, GRID)
    square = nn.functional.adaptive_avg_pool2d((pictures.float() / 255).square(), GRID)
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    coarse = (pictures >> 6).long()
    index = (16 * coarse[:, 0] + 4 * coarse[:, 1] + coarse[:, 2]).flatten(1)
    counts = torch.zeros(len(pictures), 64, device=pictures.device)
    counts.scatter_add_(1, index, torch.ones_like(index, dtype=torch.float32))
    histogram = (counts / index.shape[1]).sqrt()
    return torch.cat([mean.flatten(1), deviation.flatten(1), histogram], dim=1)


def over_time(steps: Float32Array) -> Float32Array:
    """Return statistics of each feature of a sequence (T, D): (7 D,).

    Mean, deviation, least, most, first, last and slope per step.
    """
    values = steps.astype(np.float64)
    time = np.arange(len(values)) - (len(values) - 1) / 2
    mean = values.mean(axis=0)
    slope = time @ (values - mean) / max(float(time @ time), 1.0)
    parts = (mean, values.std(axis=0), values.min(0), values.max(0), values[0], values[-1], slope)
    return np.concatenate(parts).astype(np.float32)


def course(picture: Float32Array) -> Float32Array:
    """Average a log-mel picture (1, 40, T) to 20 bands x 12 frames and standardise it: (240,)."""
    small = nn.functional.adaptive_avg_pool2d(torch.from_numpy(picture), (20, 12)).flatten()
    return ((small - small.mean()) / small.std().clamp(min=1e-3)).numpy()
