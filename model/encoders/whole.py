"""Whole pictures of any shape as rows of one length, so that windows reach all of them.

A row is (3, side x longest + 1) bytes: the picture's pixels line by line, zeros behind them, and in
the last place the length of its longer side (two bytes) and whether that is its height.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from model.arrays import Array
from model.decoding.images import fill_window, squash

if TYPE_CHECKING:
    from PIL import Image


def stored(image: Image.Image, side: int, widest: float) -> Array:
    """Scale the shorter side to `side` and keep all of the picture: (3, side x longest + 1) bytes.

    Args:
        image: any picture.
        side: at most 65,535 / widest.
        widest: longest = side x widest; of what is longer the middle is kept.
    """
    upright, longest = image.height > image.width, int(side * widest)
    wanted = int(side * max(image.size) / min(image.size))
    longer = min(wanted, longest)
    scale = squash if longer == wanted else fill_window
    pixels = scale(image, *((longer, side) if upright else (side, longer)))
    row = np.zeros((3, side * longest + 1), np.uint8)
    row[:, : side * longer] = pixels.reshape(3, -1)
    row[:, -1] = longer >> 8, longer & 255, upright
    return row


def window(x: Tensor, side: int, crop: int, random: bool) -> Tensor:
    """Cut (B, 3, crop, crop) out of stored pictures: anywhere, or the middle."""
    return torch.stack([_cut(row, side, crop, random) for row in x])


def _cut(row: Tensor, side: int, crop: int, random: bool) -> Tensor:
    high, low, upright = row[:, -1].tolist()
    longer = max(side, high << 8 | low)  # an absent picture is all zeros
    height, width = (longer, side) if upright else (side, longer)
    free = height - crop, width - crop
    if random:
        top, left = (int(torch.randint(0, room + 1, ())) for room in free)
    else:
        top, left = (round(room / 2) for room in free)  # as torchvision's CenterCrop rounds
    picture = row[:, : side * longer].view(3, height, width)
    return picture[:, top : top + crop, left : left + crop]
