"""Where the weights of torchvision's networks come from.

A name may say it: `resnet50` (torchvision's default weights, downloaded once), `resnet50:scratch`
(random) or `resnet50:<file.safetensors>` (a state dict of your own).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.encoders.backbone import EncoderUnavailable


def weights_print(name: str, source: str) -> str:
    """Name the initial weights; "" if they are random.

    Raises:
        EncoderUnavailable: the named file is not there.
    """
    if source == "scratch":
        return ""
    return f"{name}:{_digest(Path(source))}" if source else _published(name)


def _digest(path: Path) -> str:
    if not path.is_file():
        raise EncoderUnavailable(f"no weights at {path}; give a .safetensors file, or `scratch`")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def to_download(name: str) -> str:
    """Say what a network's weights would need; "" where they are here or there are none."""
    import torchvision

    if name not in ("resnet18", "resnet50", "resnet101", "r2plus1d_18"):
        return ""
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    if (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).is_file():
        return ""
    return f"weights to be downloaded: {url}; or name a file: {name}:<file.safetensors>"


def _published(name: str) -> str:
    import torchvision

    weights = torchvision.models.get_model_weights(name).DEFAULT
    return f"{name}:{weights.name}:{Path(weights.url).stem.rsplit('-', 1)[-1]}"


def network(name: str, source: str, channels: int = 3) -> Any:
    """Return one of torchvision's networks with its initial weights.

    Raises:
        EncoderUnavailable: its weights are neither here nor to be had.
    """
    import torchvision

    if source:
        net = torchvision.models.get_model(name, weights=None)
        if channels != 3:
            net.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        if source != "scratch":
            from safetensors.torch import load_file

            net.load_state_dict(load_file(source))
        return net
    try:
        return torchvision.models.get_model(name, weights="DEFAULT")
    except (OSError, RuntimeError) as error:
        raise EncoderUnavailable(
            f"the pretrained weights of {name} cannot be downloaded ({error}); put a state dict "
            f"in a file and name it `{name}:<file.safetensors>`, train it from random weights "
            f"with `{name}:scratch`, or choose an encoder that needs no download: small_cnn, "
            "logmel_cnn"
        ) from error
