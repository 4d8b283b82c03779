"""Cheap picture and sound features that need no download: the frozen encoders of the named sets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

ORIENTATIONS = 9


def oriented_gradients(pictures: npt.NDArray, cell: int) -> Array:
    """Return histograms of oriented gradients (Dalal & Triggs 2005), blocks of 2 x 2 cells.

    Args:
        pictures: (N, H, W) grey values; sides are multiples of `cell`.
        cell: side of a cell.

    Returns:
        (N, (H/cell - 1) (W/cell - 1) 36).
    """
    grey = pictures.astype(np.float32)
    down, right = np.gradient(grey, axis=(1, 2))
    magnitude = np.hypot(down, right)
    turn = (np.arctan2(down, right) / np.pi) % 1.0 * ORIENTATIONS
    low = np.floor(turn).astype(int) % ORIENTATIONS
    share = turn - np.floor(turn)
    size, height, width = grey.shape
    shape = (size, height // cell, cell, width // cell, cell)
    cells = np.zeros((size, height // cell, width // cell, ORIENTATIONS), np.float32)
    for bin_ in range(ORIENTATIONS):
        weight = magnitude * ((low == bin_) * (1 - share))
        weight += magnitude * ((low + 1) % ORIENTATIONS == bin_) * share
        cells[..., bin_] = weight.reshape(shape).sum(axis=(2, 4))
    blocks = np.concatenate(
        [cells[:, :-1, :-1], cells[:, :-1, 1:], cells[:, 1:, :-1], cells[:, 1:, 1:]], axis=-1
    )
    blocks /= np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + 1e-3)
    return blocks.reshape(size, -1)


def colours(pictures: npt.NDArray, grid: int = 4) -> Array:
    """Return mean and deviation of each channel on a grid, and the joint 4 x 4 x 4 histogram.

    Args:
        pictures: (N, S, S, 3) bytes; S is a multiple of `grid`.
        grid: cells per side.

    Returns:
        (N, 6 grid^2 + 64).
    """
    size, side = len(pictures), pictures.shape[1]
    parts = pictures.reshape(size, grid, side // grid, grid, side // grid, 3) / np.float32(255)
    mean = parts.mean(axis=(2, 4)).reshape(size, -1)
    deviation = parts.std(axis=(2, 4)).reshape(size, -1)
    coarse = (pictures >> 6).astype(np.int64) @ np.array([16, 4, 1])
    offset = coarse.reshape(size, -1) + 64 * np.arange(size)[:, None]
    counts = np.bincount(offset.ravel(), minlength=64 * size).reshape(size, 64)
    histogram = np.sqrt(counts / (side * side))
    return np.concatenate([mean, deviation, histogram], axis=1).astype(np.float32)


def pooled(spectrograms: npt.NDArray, bands: int, frames: int) -> Array:
    """Average (N, B, T) log-mel pictures to (N, bands * frames), each of mean 0 and deviation 1."""
    size, height, width = spectrograms.shape
    shape = (size, bands, height // bands, frames, width // frames)
    flat = spectrograms.astype(np.float32).reshape(shape).mean(axis=(2, 4)).reshape(size, -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / (flat.std(axis=1, keepdims=True) + 1e-3)
