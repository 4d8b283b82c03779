"""EfficientNet-Lite0: a picture to 1,280 numbers.

A definition of our own, because timm takes a process eight seconds to load (`python -m
benchmarks.starting`); the tests compare it with timm's `tf_efficientnet_lite0`.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.encoders.backbone import normalise
from model.encoders.base import Module
from model.encoders.packaged import EFFICIENTNET, checked

WIDTH = 1280
_STEM = 32
_STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class Pictures(Module):
    """EfficientNet-Lite0: pictures (B, 3, S, S) as bytes to pooled features (B, 1280).

    Batch norms are folded into the convolutions before them.

    Source: EfficientNet (Tan and Le 2019), without squeeze and excitation and with ReLU6.
    """

    width = WIDTH

    def __init__(self) -> None:
        super().__init__()
        net: Any = _net()
        path = checked(EFFICIENTNET) / EFFICIENTNET.files[0][0]
        stored = torch.load(path, weights_only=True, map_location="cpu")
        # The file has the same layers in the same order under other names.
        layers = [value for name, value in stored.items() if not name.startswith("_fc.")]
        net.load_state_dict(dict(zip(net.state_dict(), layers, strict=True)))
        _fold(net.eval())
        self.net = net.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 1280)."""
        x = normalise(x, (127 / 255,) * 3, (128 / 255,) * 3)
        return self.net(x.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))


class _Convolution(nn.Conv2d):
    """A convolution that pads as TensorFlow does: the odd one at the end."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        sides = []
        for size in (x.shape[3], x.shape[2]):
            missing = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
            sides += [missing // 2, missing - missing // 2]
        return self._conv_forward(nn.functional.pad(x, sides), self.weight, self.bias)


class _Block(nn.Sequential):
    """An inverted residual."""

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found + x if found.shape == x.shape else found


def _net() -> nn.Sequential:
    layers = _unit(3, _STEM, 3, 2)
    width = _STEM
    for repeats, kernel, stride, expansion, channels in _STAGES:
        for repeat in range(repeats):
            inner = width * expansion
            block = _unit(width, inner) if expansion > 1 else []
            block += _unit(inner, inner, kernel, 1 if repeat else stride, groups=inner)
            layers.append(_Block(*block, *_unit(inner, channels)[:2]))
            width = channels
    return nn.Sequential(*layers, *_unit(width, WIDTH))


def _unit(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv: nn.Conv2d
    if stride == 1:  # padded by the same on all sides, which needs no copy
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    else:
        conv = _Convolution(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs, eps=1e-3), nn.ReLU6(inplace=True)]


def _fold(net: Any) -> None:
    for (name, layer), (after, norm) in pairwise(list(net.named_children())):
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            net._modules[name] = fuse_conv_bn_eval(layer, norm)
            net._modules[after] = nn.Identity()
    for child in net.children():
        _fold(child)
