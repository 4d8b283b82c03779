"""MVSA-Single: tweets of picture and text with human sentiment labels of both, each and all."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.dataset import Dataset, vector
from experiments.handcrafted import colours, oriented_gradients
from experiments.options import Value, checked
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

SIDE = 48
_CLASSES = ("negative", "neutral", "positive")
_OWN = {"label": None, "label_text": "text", "label_image": "image"}


def read(folder: Path, options: Mapping[str, Value]) -> Dataset:
    """Read mvsa_raw96.tar.

    Options: labels=shared|own (one label of the whole tweet, or also one of each modality);
    target=class|number (three classes, or -1, 0, 1 as a number).
    """
    chosen = checked("mvsa", options, {"labels": ("shared", "own"), "target": ("class", "number")})
    rows, pictures = _unpacked(folder / "mvsa_raw96.tar")
    seen = np.concatenate(
        [oriented_gradients(pictures.mean(axis=3) / 255, cell=8), colours(pictures)], axis=1
    )
    samples = tuple(
        {"text": row["text"] or None, "image": vector(values)}
        for row, values in zip(rows, seen, strict=True)
    )
    own = chosen["labels"] == "own"
    names = list(_OWN) if own else ["label"]
    number = chosen["target"] == "number"
    values = {name: np.array([int(row[name]) for row in rows], np.int64) for name in names}
    part = np.array([row["split"] for row in rows])
    modalities = (
        Modality("text", ModalityKind.TEXT, "text"),
        Modality("image", ModalityKind.SEQUENCE, "image"),
    )
    said = "a label of each modality and of the whole" if own else "one label of the whole"
    return Dataset(
        f"mvsa-{chosen['labels']}-{chosen['target']}",
        f"Tweets of text and picture, sentiment as a {chosen['target']}, {said}",
        samples,
        {n: v - 1.0 if number else v for n, v in values.items()},
        Schema(modalities, tuple(_target(name, number) for name in names)),
        np.flatnonzero(part == "train").astype(np.int64),
        np.flatnonzero(part == "test").astype(np.int64),
        {"encoders": {"image": "mlp"}},
    )


def _target(name: str, number: bool) -> Target:
    if number:
        return Target(name, TargetKind.REGRESSION, (), -1.0, 1.0, _OWN[name])
    return Target(name, TargetKind.CLASSIFICATION, _CLASSES, modality=_OWN[name])


def _unpacked(path: Path) -> tuple[list[dict[str, str]], npt.NDArray[np.uint8]]:
    """Return the index's rows and (N, SIDE, SIDE, 3) pictures, squeezed to a square."""
    from PIL import Image

    with tarfile.open(path) as archive:
        index = archive.extractfile("mvsa/index.csv")
        assert index is not None
        rows = list(csv.DictReader(io.TextIOWrapper(index, "utf-8", newline="")))
        pictures = np.zeros((len(rows), SIDE, SIDE, 3), np.uint8)
        place = {f"mvsa/{row['image']}": number for number, row in enumerate(rows)}
        for member in archive:
            file = archive.extractfile(member) if member.name in place else None
            if file is not None:
                picture = Image.open(io.BytesIO(file.read())).convert("RGB")
                pictures[place[member.name]] = np.asarray(picture.resize((SIDE, SIDE)))
    return rows, pictures
