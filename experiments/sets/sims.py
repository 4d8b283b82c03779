"""CH-SIMS v2: Chinese film scenes, sentiment from -1 to 1, of the whole and of each modality."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.dataset import DataError, Dataset
from experiments.options import Value, checked
from experiments.sets.files import row, stamp
from experiments.sets.plain_pickle import read_plain
from model.sample import RawValue
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

_PARTS = ("train", "test")
_SEQUENCES = {"audio": "audio", "video": "vision"}
_OWN = {"text": "T", "audio": "A", "video": "V"}
_LABEL = "regression_labels"


def read(file: Path, options: Mapping[str, Value]) -> Dataset:
    """Read the published pickle file; nothing in it is run (`plain_pickle`).

    Of its parts train and test are read, as GRACE validates on nothing. Options: text=words|
    features (the sentences, or the [CLS] vectors that the file holds of them, for machines without
    a Chinese BERT; that modality is called `sentence`); labels=own|shared (each modality's own
    label beside the whole's, or one).
    """
    chosen = checked(
        "simsv2", options, {"text": ("words", "features"), "labels": ("own", "shared")}
    )
    if not file.is_file():
        raise DataError(f"simsv2: {file} is no file; name the published .pkl file")
    found, named = read_plain(file), stamp(file)
    if not isinstance(found, dict):
        raise DataError(f"simsv2: {file} holds no parts train, valid and test")
    parts = {part: _part(file, found, part) for part in _PARTS}
    samples = tuple(
        sample
        for part, values in parts.items()
        for sample in _samples(values, f"{named}|{part}", str(chosen["text"]))
    )
    count = len(parts["train"][_LABEL])
    rows = np.arange(len(samples), dtype=np.int64)
    words = chosen["text"] == "words"
    own = dict(_OWN if chosen["labels"] == "own" else {})
    if not words and own:
        own = {"sentence": own.pop("text")} | own
    targets = (
        Target("sentiment", TargetKind.REGRESSION, (), -1.0, 1.0),
        *(
            Target(f"sentiment_{letter}", TargetKind.REGRESSION, (), -1.0, 1.0, modality)
            for modality, letter in own.items()
        ),
    )
    labels = {"sentiment": _joined(parts, _LABEL)} | {
        f"sentiment_{letter}": _joined(parts, f"{_LABEL}_{letter}") for letter in own.values()
    }
    modalities = (
        Modality("text", ModalityKind.TEXT, "text")
        if words
        else Modality("sentence", ModalityKind.SEQUENCE, "text"),
        Modality("audio", ModalityKind.SEQUENCE, "audio"),
        Modality("video", ModalityKind.SEQUENCE, "video"),
    )
    return Dataset(
        "simsv2" if words else "simsv2-features",
        "Film scenes, sentiment of the whole and of each modality (CH-SIMS v2)",
        samples,
        labels,
        Schema(modalities, targets),
        rows[:count],
        rows[count:],
    )


def _part(file: Path, found: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    values = found.get(part)
    if not isinstance(values, dict):
        raise DataError(f"simsv2: {file} has no part {part!r}; it has {', '.join(map(str, found))}")
    needed = [*_SEQUENCES.values(), _LABEL, *(f"{_LABEL}_{letter}" for letter in _OWN.values())]
    for name in needed:
        if name not in values:
            raise DataError(
                f"simsv2: {part!r} has no {name!r}; it has {', '.join(map(str, values))}"
            )
    size = len(values[_LABEL])
    short = next((name for name in needed if len(values[name]) != size), None)
    if short is not None:
        raise DataError(f"simsv2: {part!r} has {size} labels and {len(values[short])} of {short!r}")
    for name in _SEQUENCES.values():
        if not isinstance(values[name], np.ndarray) or values[name].ndim != 3:
            raise DataError(f"simsv2: {name!r} of {part!r} is no array of samples, steps, features")
    return values


def _samples(values: Mapping[str, Any], named: str, text: str) -> list[dict[str, RawValue]]:
    size = len(values[_LABEL])
    texts = _words(values, size) if text == "words" else _vectors(values, size, named)
    lengths = {name: _lengths(values, key, size) for name, key in _SEQUENCES.items()}
    return [
        {"text": texts[i]}
        | {
            name: row(values[key], i, int(lengths[name][i]), f"{named}/{key}")
            for name, key in _SEQUENCES.items()
        }
        for i in range(size)
    ]


def _words(values: Mapping[str, Any], size: int) -> list[RawValue]:
    found = values.get("raw_text")
    if found is None or len(found) != size:
        raise DataError("simsv2: the file holds no sentences ('raw_text'); add +text=features")
    return [str(one) or None for one in found]


def _vectors(values: Mapping[str, Any], size: int, named: str) -> list[RawValue]:
    found = values.get("text")
    if not isinstance(found, np.ndarray) or found.ndim != 3 or len(found) != size:
        raise DataError("simsv2: the file holds no features of sentences ('text')")
    return [row(found, i, 1, f"{named}/text") for i in range(size)]


def _lengths(values: Mapping[str, Any], key: str, size: int) -> npt.NDArray[np.int64]:
    longest = values[key].shape[1]
    found = np.asarray(values.get(f"{key}_lengths", np.full(size, longest))).reshape(-1)
    if len(found) != size:
        raise DataError(f"simsv2: {len(found)} lengths of {size} samples of {key!r}")
    return np.clip(found, 1, longest).astype(np.int64)


def _joined(parts: Mapping[str, Mapping[str, Any]], name: str) -> npt.NDArray[np.float64]:
    columns = [np.asarray(values[name], np.float64).reshape(-1) for values in parts.values()]
    return np.concatenate(columns)
