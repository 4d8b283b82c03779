"""CHERMA: Chinese film scenes, one of seven emotions of the whole and of each modality."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.dataset import DataError, Dataset
from experiments.options import Value, checked
from experiments.sets.files import stored
from model.sample import RawValue
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

EMOTIONS = {
    "愤怒": "anger",
    "厌恶": "disgust",
    "恐惧": "fear",
    "高兴": "happy",
    "平静": "neutral",
    "悲伤": "sad",
    "惊奇": "surprise",
}
_PARTS = ("train", "test")
_CLASSES = tuple(EMOTIONS.values())
_WHOLE = "video_label"
_OWN = {"text": "txt_label", "audio": "audio_label", "video": "visual_label"}
_FOLDERS = {"text": "text", "audio": "audio", "video": "visual"}
_ENDINGS = {"text": (".npy",), "audio": (".npy",), "video": (".mp4.npy", ".npy")}


def read(folder: Path, options: Mapping[str, Value]) -> Dataset:
    """Read train.json and test.json, and {text,audio,visual}/{train,test}/NAME.npy.

    Options: labels=own|shared (each modality's own label beside the whole's, or one).
    """
    chosen = checked("cherma", options, {"labels": ("own", "shared")})
    own = _OWN if chosen["labels"] == "own" else {}
    keys = {"emotion": _WHOLE} | {f"emotion_{name}": key for name, key in own.items()}
    samples: list[dict[str, RawValue]] = []
    labels: dict[str, list[int]] = {name: [] for name in keys}
    counts = []
    for part in _PARTS:
        entries = _entries(folder / f"{part}.json")
        for entry in entries:
            samples.append(_sample(folder, part, entry))
            for name, key in keys.items():
                labels[name].append(_class(entry, key))
        counts.append(len(entries))
    targets = [Target("emotion", TargetKind.CLASSIFICATION, _CLASSES)]
    targets += [
        Target(f"emotion_{name}", TargetKind.CLASSIFICATION, _CLASSES, modality=name)
        for name in own
    ]
    modalities = tuple(Modality(name, ModalityKind.SEQUENCE, name) for name in _FOLDERS)
    rows = np.arange(len(samples), dtype=np.int64)
    return Dataset(
        "cherma",
        "Film scenes, emotion of the whole and of each modality (CHERMA)",
        tuple(samples),
        {name: np.array(values, np.int64) for name, values in labels.items()},
        Schema(modalities, tuple(targets)),
        rows[: counts[0]],
        rows[counts[0] :],
    )


def _entries(path: Path) -> list[Mapping[str, Any]]:
    if not path.is_file():
        raise DataError(f"cherma: {path} is missing")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"cherma: {path} is no JSON ({error})") from error
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise DataError(f"cherma: {path} is no list of samples")
    return found


def _class(entry: Mapping[str, Any], key: str) -> int:
    said = entry.get(key)
    name = EMOTIONS.get(str(said), str(said))
    if name not in _CLASSES:
        raise DataError(f"cherma: {key} is {said!r}, which is none of {', '.join(EMOTIONS)}")
    return _CLASSES.index(name)


def _sample(folder: Path, part: str, entry: Mapping[str, Any]) -> dict[str, RawValue]:
    name = str(entry.get("audio_file", "")).removesuffix(".wav")
    if not name or Path(name).name != name:
        raise DataError(f"cherma: audio_file is {entry.get('audio_file')!r}, which names no file")
    found: dict[str, RawValue] = {}
    for modality, kind in _FOLDERS.items():
        home = folder / kind / part
        paths = [home / f"{name}{ending}" for ending in _ENDINGS[modality]]
        there = next((path for path in paths if path.is_file()), None)
        if there is None:
            raise DataError(f"cherma: {paths[0]} is missing")
        found[modality] = stored(there)
    return found
