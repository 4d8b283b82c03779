"""avdigits: a handwritten and a spoken digit of the same class, as media or as frozen features."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image

from experiments.dataset import Dataset, vector
from experiments.handcrafted import oriented_gradients, pooled
from experiments.options import Value, checked
from experiments.sets.archive import unpacked
from model.sample import Reference
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

_SPLITS = {"official": "fsdd_official", "speakers": "split"}
_KINDS = {"image": ModalityKind.IMAGE, "audio": ModalityKind.AUDIO}
_AMPLITUDE = 0.063
"""Deviation of all recordings together."""
Values = dict[str, list[Reference]]
"""Modality -> the value of every sample."""


def read(folder: Path, options: Mapping[str, Value]) -> Dataset:
    """Read avdigits_raw.tar.gz, or avdigits_features.npz.

    Options: features=media|simple (pictures and sounds as they are, or shapes and loudness as a
    vector each, for networks that start from nothing); split=official|speakers (of the test set);
    image_noise, audio_noise: Gaussian noise in units of the data's deviation, which weakens that
    modality; image_missing, audio_missing: share of training samples without it.
    """
    chosen = checked(
        "avdigits",
        options,
        {
            "features": ("media", "simple"),
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
    noise = {name: float(chosen[f"{name}_noise"]) for name in _KINDS}
    simple = chosen["features"] == "simple"
    values = _simple(arrays, noise) if simple else _media(folder, arrays["image"], noise)
    train = np.flatnonzero(np.char.endswith(part, "train")).astype(np.int64)
    gone = {
        name: _dropped(train, float(chosen[f"{name}_missing"]), seed)
        for seed, name in enumerate(values, start=3)
    }
    samples = tuple(
        {name: None if row in gone[name] else found[row] for name, found in values.items()}
        for row in range(len(part))
    )
    target = Target("digit", TargetKind.CLASSIFICATION, tuple("0123456789"))
    modalities = tuple(
        Modality(name, ModalityKind.SEQUENCE if simple else kind, name)
        for name, kind in _KINDS.items()
    )
    return Dataset(
        _name(chosen),
        _title(chosen),
        samples,
        {"digit": arrays["label"].astype(np.int64)},
        Schema(modalities, (target,)),
        train,
        np.flatnonzero(np.char.endswith(part, "test")).astype(np.int64),
    )


def _simple(arrays: Mapping[str, npt.NDArray], noise: Mapping[str, float]) -> Values:
    image = _noisy(arrays["image"] / np.float32(255), noise["image"], 1)
    audio = _noisy(arrays["logmel"].astype(np.float32), noise["audio"], 2)
    return {
        "image": [vector(row) for row in oriented_gradients(image, cell=7)],
        "audio": [vector(row) for row in pooled(audio, bands=20, frames=12)],
    }


def _media(folder: Path, pictures: npt.NDArray, noise: Mapping[str, float]) -> Values:
    rows, files = unpacked(folder / "avdigits_raw.tar.gz", "avdigits/")
    deviation = {"image": float(pictures.std()), "audio": _AMPLITUDE}
    change = {"image": _noisy_picture, "audio": _noisy_sound}
    found: Values = {}
    for seed, (name, column) in enumerate({"image": "png", "audio": "wav"}.items(), start=1):
        amount = noise[name] * deviation[name]
        found[name] = [
            _value(files[row[column]], row[column], change[name], amount, (seed, number))
            for number, row in enumerate(rows)
        ]
    return found


def _value(
    data: bytes,
    name: str,
    change: Callable[[bytes, float, np.random.Generator], bytes],
    amount: float,
    seed: tuple[int, int],
) -> Reference:
    if not amount:
        return Reference(name, lambda: data)
    return Reference(
        f"{name} noise {amount:.6g}", lambda: change(data, amount, np.random.default_rng(seed))
    )


def _noisy_picture(data: bytes, amount: float, rng: np.random.Generator) -> bytes:
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.float32)
    pixels = pixels + amount * rng.standard_normal(pixels.shape, np.float32)
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def _noisy_sound(data: bytes, amount: float, rng: np.random.Generator) -> bytes:
    wave, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    wave = wave + amount * rng.standard_normal(wave.shape, np.float32)
    stream = io.BytesIO()
    soundfile.write(stream, wave.clip(-1, 1), rate, format="WAV")
    return stream.getvalue()


def _noisy(values: npt.NDArray, amount: float, seed: int) -> npt.NDArray:
    if not amount:
        return values
    noise = np.random.default_rng(seed).standard_normal(values.shape, dtype=np.float32)
    return values + amount * values.std() * noise


def _dropped(train: npt.NDArray, share: float, seed: int) -> set[int]:
    count = round(share * len(train))
    return set(np.random.default_rng(seed).permutation(train)[:count].tolist())


def _changes(chosen: Mapping[str, Value]) -> list[tuple[str, Value]]:
    words = ("features", "split")
    return [(key, value) for key, value in chosen.items() if key not in words and value]


def _name(chosen: Mapping[str, Value]) -> str:
    extra = "".join(f"-{key.replace('_', '-')}-{value}" for key, value in _changes(chosen))
    simple = "-simple" if chosen["features"] == "simple" else ""
    return f"avdigits-{chosen['split']}{extra}{simple}"


def _title(chosen: Mapping[str, Value]) -> str:
    split = {
        "official": "test takes of known speakers",
        "speakers": "test speakers never heard in training",
    }[str(chosen["split"])]
    words = {
        "noise": "{name} degraded by Gaussian noise of {value} standard deviations",
        "missing": "{value:.0%} of the training tasks lack {name}",
    }
    parts = [split, *(["as simple features"] if chosen["features"] == "simple" else [])]
    for key, value in _changes(chosen):
        name, kind = key.rsplit("_", 1)
        parts.append(words[kind].format(name=name, value=value))
    return f"Handwritten and spoken digits, {'; '.join(parts)}"
