"""avdigits: a handwritten and a spoken digit of the same class, as frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.dataset import Dataset, vector
from experiments.handcrafted import oriented_gradients, pooled
from experiments.options import Value, checked
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

_SPLITS = {"official": "fsdd_official", "speakers": "split"}


def read(folder: Path, options: Mapping[str, Value]) -> Dataset:
    """Read avdigits_features.npz.

    Options: split=official|speakers (of the test set); image_noise, audio_noise: Gaussian noise
    in units of the data's deviation, which weakens that modality; image_missing, audio_missing:
    share of training samples without it.
    """
    chosen = checked(
        "avdigits",
        options,
        {
            "split": ("official", "speakers"),
            "image_noise": 0.0,
            "audio_noise": 0.0,
            "image_missing": 0.0,
            "audio_missing": 0.0,
        },
    )
    with np.load(folder / "avdigits_features.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in ("image", "logmel", "label")}
        part = stored[_SPLITS[str(chosen["split"])]]
    image = _noisy(arrays["image"] / np.float32(255), float(chosen["image_noise"]), 1)
    audio = _noisy(arrays["logmel"].astype(np.float32), float(chosen["audio_noise"]), 2)
    train = np.flatnonzero(np.char.endswith(part, "train")).astype(np.int64)
    columns = {
        "image": oriented_gradients(image, cell=7),
        "audio": pooled(audio, bands=20, frames=12),
    }
    gone = {
        name: _dropped(train, float(chosen[f"{name}_missing"]), seed)
        for seed, name in enumerate(columns, start=3)
    }
    samples = tuple(
        {n: None if row in gone[n] else vector(values[row]) for n, values in columns.items()}
        for row in range(len(image))
    )
    target = Target("digit", TargetKind.CLASSIFICATION, tuple("0123456789"))
    modalities = tuple(Modality(name, ModalityKind.SEQUENCE, name) for name in columns)
    return Dataset(
        _name(chosen),
        _title(chosen),
        samples,
        {"digit": arrays["label"].astype(np.int64)},
        Schema(modalities, (target,)),
        train,
        np.flatnonzero(np.char.endswith(part, "test")).astype(np.int64),
        {"encoders": {"image": "mlp", "audio": "mlp"}},
    )


def _noisy(values: npt.NDArray, amount: float, seed: int) -> npt.NDArray:
    if not amount:
        return values
    noise = np.random.default_rng(seed).standard_normal(values.shape, dtype=np.float32)
    return values + amount * values.std() * noise


def _dropped(train: npt.NDArray, share: float, seed: int) -> set[int]:
    count = round(share * len(train))
    return set(np.random.default_rng(seed).permutation(train)[:count].tolist())


def _changes(chosen: Mapping[str, Value]) -> list[tuple[str, Value]]:
    return [(key, value) for key, value in chosen.items() if key != "split" and value]


def _name(chosen: Mapping[str, Value]) -> str:
    extra = "".join(f"-{key.replace('_', '-')}-{value}" for key, value in _changes(chosen))
    return f"avdigits-{chosen['split']}{extra}"


def _title(chosen: Mapping[str, Value]) -> str:
    split = {
        "official": "test takes of known speakers",
        "speakers": "test speakers never heard in training",
    }[str(chosen["split"])]
    words = {
        "noise": "{name} degraded by Gaussian noise of {value} standard deviations",
        "missing": "{value:.0%} of the training tasks lack {name}",
    }
    parts = [split]
    for key, value in _changes(chosen):
        name, kind = key.rsplit("_", 1)
        parts.append(words[kind].format(name=name, value=value))
    return f"Handwritten and spoken digits, {'; '.join(parts)}"
