"""MVSA-Single: tweets of picture and text with human sentiment labels of both, each and all."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.dataset import Dataset, vector
from experiments.handcrafted import colours, oriented_gradients
from experiments.options import Value, checked
from experiments.sets.archive import Row, reference, unpacked
from model.sample import Reference
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

SIDE = 48
_CLASSES = ("negative", "neutral", "positive")
_OWN = {"label": None, "label_text": "text", "label_image": "image"}


def read(folder: Path, options: Mapping[str, Value]) -> Dataset:
    """Read mvsa_raw96.tar.

    Options: features=media|simple (pictures as they are, or shapes and colours as a vector, for
    networks that start from nothing); labels=shared|own (one label of the whole tweet, or also one
    of each modality); target=class|number (three classes, or -1, 0, 1 as a number).
    """
    chosen = checked(
        "mvsa",
        options,
        {
            "features": ("media", "simple"),
            "labels": ("shared", "own"),
            "target": ("class", "number"),
        },
    )
    rows, files = unpacked(folder / "mvsa_raw96.tar", "mvsa/")
    simple = chosen["features"] == "simple"
    seen = _simple(rows, files) if simple else [reference(files, row["image"]) for row in rows]
    samples = tuple(
        {"text": row["text"] or None, "image": value} for row, value in zip(rows, seen, strict=True)
    )
    own = chosen["labels"] == "own"
    names = list(_OWN) if own else ["label"]
    number = chosen["target"] == "number"
    values = {name: np.array([int(row[name]) for row in rows], np.int64) for name in names}
    part = np.array([row["split"] for row in rows])
    modalities = (
        Modality("text", ModalityKind.TEXT, "text"),
        Modality("image", ModalityKind.SEQUENCE if simple else ModalityKind.IMAGE, "image"),
    )
    said = "a label of each modality and of the whole" if own else "one label of the whole"
    return Dataset(
        f"mvsa-{chosen['labels']}-{chosen['target']}{'-simple' if simple else ''}",
        f"Tweets of text and picture, sentiment as a {chosen['target']}, {said}"
        f"{', as simple features' if simple else ''}",
        samples,
        {n: v - 1.0 if number else v for n, v in values.items()},
        Schema(modalities, tuple(_target(name, number) for name in names)),
        np.flatnonzero(part == "train").astype(np.int64),
        np.flatnonzero(part == "test").astype(np.int64),
    )


def _target(name: str, number: bool) -> Target:
    if number:
        return Target(name, TargetKind.REGRESSION, (), -1.0, 1.0, _OWN[name])
    return Target(name, TargetKind.CLASSIFICATION, _CLASSES, modality=_OWN[name])


def _simple(rows: list[Row], files: Mapping[str, bytes]) -> list[Reference]:
    """Return shapes and colours of each picture, squeezed to a square."""
    opened = (Image.open(io.BytesIO(files[row["image"]])) for row in rows)
    pictures = np.stack([np.asarray(one.convert("RGB").resize((SIDE, SIDE))) for one in opened])
    shapes = oriented_gradients(pictures.mean(axis=3) / 255, cell=8)
    return [vector(row) for row in np.concatenate([shapes, colours(pictures)], axis=1)]
