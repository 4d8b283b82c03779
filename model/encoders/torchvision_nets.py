"""`resnet18|50|101`, `r2plus1d_18` and `resnet18_1ch`: torchvision's networks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from model.arrays import Array
from model.decoding.audio import decode_audio
from model.decoding.images import decode_image, fill_square, squash
from model.decoding.video import decode_frames
from model.encoders.backbone import (
    Backbone,
    normalise,
    random_crop,
    random_flip,
)
from model.encoders.base import Encoder, Module, Raw, Tail, as_bytes, as_video
from model.encoders.torchvision_weights import network, weights_print
from model.encoders.whole import stored, window
from model.options import Preparation
from model.schema import Modality

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KINETICS = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
_N_FFT, _HOP, _FLOOR = 512, 159, 1e-7


class Staged(Module):
    """A residual network cut after its third stage, where `nl_gate` joins (B, 256, ...) maps."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.width = net.fc.in_features
        stem = [net.stem] if hasattr(net, "stem") else [net.conv1, net.bn1, net.relu, net.maxpool]
        self.first = nn.Sequential(*stem, net.layer1, net.layer2, net.layer3)
        self.fourth = net.layer4
        self.pool = net.avgpool
        self.channels = self.width // 2

    def prepared(self, x: Tensor) -> Tensor:
        """Turn the cached array into the network's input, augmented while training."""
        raise NotImplementedError

    def middle(self, x: Tensor) -> Tensor:
        """Return mid-level maps (B, channels, ...)."""
        return self.first(self.prepared(x))

    def tail(self, maps: Tensor) -> Tensor:
        """Return (B, width) of mid-level maps."""
        return self.pool(self.fourth(maps)).flatten(1)

    def new_tail(self) -> Tail:
        """Return a fourth stage with random weights, and the linear layer that BMMAL adds."""
        return FourthStage(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        return self.tail(self.middle(x))


class FourthStage(Tail):
    """A fusion's own stage: built like a network's fourth, then one linear layer (BMMAL)."""

    def __init__(self, like: Staged) -> None:
        super().__init__()
        self.width = like.width
        self.stage, self.pool = copy.deepcopy(like.fourth), copy.deepcopy(like.pool)
        self.last = nn.Linear(self.width, self.width)
        for part in self.stage.modules():
            if isinstance(part, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(part, _BatchNorm):
                part.reset_parameters()
        nn.init.normal_(self.last.weight, 0, 0.01)
        nn.init.zeros_(self.last.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, width)."""
        return self.last(self.pool(self.stage(maps)).flatten(1))


class Pictures(Staged):
    """Pictures (B, 3, R, R) as bytes, or as `whole` stores them, with the shorter side `whole`."""

    def __init__(self, net: Any, preparation: Preparation, whole: int = 0) -> None:
        super().__init__(net)
        self.whole = whole
        self.crop, self.augment, self.flip = preparation.crop, preparation.augment, preparation.flip

    def prepared(self, x: Tensor) -> Tensor:
        """Crop (BMMAL: random 224 of 256, flip, grey with probability .2; middle otherwise)."""
        random = self.training and self.augment
        if self.whole:
            x = window(x, self.whole, self.crop, random)
        else:
            x = random_crop(x, self.crop, self.crop, random)
        if random:
            x = random_grey(random_flip(x) if self.flip else x)
        return normalise(x, *_IMAGENET)


class Clips(Staged):
    """Clips (B, stored, 3, H, W) as bytes.

    Note: one window and one mirroring per clip; the published code draws them per frame, which
    breaks the motion that the network is there to see.
    """

    def __init__(self, net: Any, preparation: Preparation) -> None:
        super().__init__(net)
        self.crop, self.frames = preparation.video_crop, preparation.video_frames
        self.augment, self.flip = preparation.augment, preparation.flip

    def prepared(self, x: Tensor) -> Tensor:
        """Take 5 of 10 frames, any while training and every second otherwise, and crop 112."""
        random, stored = self.training and self.augment, x.shape[1]
        if random:
            keys = torch.rand(len(x), stored, device=x.device)
            chosen = keys.topk(self.frames, dim=1).indices.sort(dim=1).values
            x = x[torch.arange(len(x), device=x.device)[:, None], chosen]
        else:
            x = x[:, [(i + 1) * stored // self.frames - 1 for i in range(self.frames)]]
        x = random_crop(x, self.crop, self.crop, random)
        if random and self.flip:
            x = random_flip(x)
        return normalise(x, *_KINETICS).transpose(1, 2)


class Spectrograms(Staged):
    """Sounds (B, samples) as 16-bit integers, to (B, 1, 257, frames) log spectrograms."""

    def __init__(self, net: Any, preparation: Preparation) -> None:
        super().__init__(net)
        self.samples = int(preparation.audio_crop * preparation.audio_rate)
        self.mean, self.deviation = preparation.audio_mean, preparation.audio_deviation
        self.augment = preparation.augment

    def prepared(self, x: Tensor) -> Tensor:
        """Cut 5 of 10 seconds (any while training, else the middle); n_fft 512, hop 159, log."""
        x = random_crop(x[:, None], 1, self.samples, self.training and self.augment)[:, 0]
        wave = x.float() / 32767
        window = torch.hann_window(_N_FFT, device=x.device)
        magnitude = torch.stft(wave, _N_FFT, _HOP, window=window, return_complex=True).abs()
        return (((magnitude + _FLOOR).log() - self.mean) / self.deviation)[:, None]


def random_grey(x: Tensor) -> Tensor:
    """Turn a fifth of byte pictures (B, 3, H, W) grey."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device).view(3, 1, 1)
    grey = (x * weights).sum(dim=1, keepdim=True).to(x.dtype).expand_as(x)
    return torch.where((torch.rand(len(x), device=x.device) < 0.2).view(-1, 1, 1, 1), grey, x)


def image_encoder(name: str, modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare pictures as (3, R, R) bytes, the shorter side scaled to R and the middle cut out.

    With `widest` above 1 all of a picture is stored, where the network is trained: a frozen one
    looks at the middle only.
    """
    side, weights = preparation.resize, weights_print(name, source)
    trained = preparation.mode == "finetune" or not weights
    whole = trained and preparation.widest > 1

    def decode(raw: Raw) -> Array:
        image = decode_image(as_bytes(raw, "an image"), side=side)
        return stored(image, side, preparation.widest) if whole else fill_square(image, side)

    return Backbone(
        f"picture/2 resize={side}" + (f" widest={preparation.widest:g}" if whole else ""),
        f"crop={preparation.crop}",
        weights,
        decode,
        lambda: Pictures(network(name, source), preparation, side if whole else 0),
    ).encoder(preparation)


def clip_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare clips as (stored, 3, H, W) bytes, each frame squashed to that size."""
    height, width = preparation.video_resize

    def decode(raw: Raw) -> Array:
        frames = decode_frames(as_video(raw), preparation.video_stored)
        return np.stack([squash(frame, height, width) for frame in frames])

    return Backbone(
        f"clip/3 stored={preparation.video_stored} size={height}x{width}",
        f"frames={preparation.video_frames} crop={preparation.video_crop}",
        weights_print("r2plus1d_18", source),
        decode,
        lambda: Clips(network("r2plus1d_18", source), preparation),
        together=4,
    ).encoder(preparation)


def spectrogram_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare sounds as 16-bit samples; random weights unless a file is named."""
    source = source or "scratch"

    def decode(raw: Raw) -> Array:
        return stored_sound(raw, preparation)

    return Backbone(
        sound_print(preparation),
        f"crop={preparation.audio_crop:g} mean={preparation.audio_mean} "
        f"deviation={preparation.audio_deviation}",
        weights_print("resnet18_1ch", source),
        decode,
        lambda: Spectrograms(network("resnet18", source, channels=1), preparation),
    ).encoder(preparation)


def stored_sound(raw: Raw, preparation: Preparation) -> Array:
    """Return (seconds x rate,) 16-bit samples, the sound in the middle or at the beginning."""
    rate, seconds = preparation.audio_rate, preparation.audio_seconds
    first = preparation.audio_part == "first"
    wave = decode_audio(as_bytes(raw, "a sound"), rate, seconds=seconds, first=first)
    size = int(rate * seconds)
    wave = wave[:size]
    before = 0 if first else (size - len(wave)) // 2
    padded = np.pad(wave, (before, size - len(wave) - before))
    return (padded * 32767).round().astype(np.int16)


def sound_print(preparation: Preparation) -> str:
    """Name everything that decides a stored sound."""
    part = " first" if preparation.audio_part == "first" else ""
    return f"sound/1 rate={preparation.audio_rate} seconds={preparation.audio_seconds:g}{part}"
