"""CMU-MOSI: sentiment of spoken opinions from -3 to 3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.dataset import Dataset, vector
from experiments.options import Value, checked
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

_CLASSES = ("negative", "positive")


def read(folder: Path, options: Mapping[str, Value]) -> Dataset:
    """Read mosi.npz.

    Options: target=number|class; modalities=two|three. `two` is transcript and audio on the
    published split. `three` (text, audio and visual features) uses the published test rows only,
    split by video, because the features of the training rows look fitted to their labels.
    """
    chosen = checked(
        "mosi", options, {"target": ("number", "class"), "modalities": ("two", "three")}
    )
    with np.load(folder / "mosi.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    parts = _two(arrays) if chosen["modalities"] == "two" else _three(arrays)
    samples, modalities, train, test, label = parts
    number = chosen["target"] == "number"
    target = (
        Target("sentiment", TargetKind.REGRESSION, (), -3.0, 3.0)
        if number
        else Target("sentiment", TargetKind.CLASSIFICATION, _CLASSES)
    )
    values = label["score"] if number else label["label2"].astype(np.int64)
    names = " and ".join(m.name for m in modalities)
    return Dataset(
        f"mosi-{chosen['modalities']}-{chosen['target']}",
        f"Spoken film reviews ({names}), sentiment as a {chosen['target']}",
        samples,
        {"sentiment": values},
        Schema(modalities, (target,)),
        train,
        test,
    )


def _two(arrays: dict[str, Any]) -> tuple[Any, ...]:
    count = len(arrays["train_id"])
    text = np.concatenate([arrays["train_transcript"], arrays["test_transcript"]])
    audio = np.concatenate([arrays["train_audio"], arrays["test_audio"]])
    samples = tuple(
        {"text": str(words) or None, "audio": vector(sound)}
        for words, sound in zip(text, audio, strict=True)
    )
    modalities = (
        Modality("text", ModalityKind.TEXT, "text"),
        Modality("audio", ModalityKind.SEQUENCE, "audio"),
    )
    label = {
        name: np.concatenate([arrays[f"train_{name}"], arrays[f"test_{name}"]])
        for name in ("score", "label2")
    }
    rows = np.arange(len(samples), dtype=np.int64)
    return samples, modalities, rows[:count], rows[count:], label


def _three(arrays: dict[str, Any]) -> tuple[Any, ...]:
    keys = {"text": "test_text", "audio": "test_audio", "visual": "test_video_feat"}
    samples = tuple(
        {name: vector(arrays[key][row]) for name, key in keys.items()}
        for row in range(len(arrays["test_id"]))
    )
    videos = np.unique(arrays["test_video"])
    held = np.random.default_rng(0).permutation(videos)[: len(videos) // 3]
    test = np.isin(arrays["test_video"], held)
    modalities = tuple(Modality(name, ModalityKind.SEQUENCE, name) for name in keys)
    label = {name: arrays[f"test_{name}"] for name in ("score", "label2")}
    return samples, modalities, np.flatnonzero(~test), np.flatnonzero(test), label
