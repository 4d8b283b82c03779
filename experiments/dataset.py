"""What is replayed: samples with known labels, split into a pool to label and a fixed test set."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from model.labels import Labels, known
from model.sample import Reference, Sample
from model.schema import Schema
from strategies.pool import IntArray


class DataError(ValueError):
    """The data of a replay cannot be used; the message says what to change."""


@dataclass(frozen=True)
class Dataset:
    """Labelled samples to replay.

    Attributes:
        name: short name; the report calls the setting so.
        title: one line for people.
        samples: N raw samples.
        labels: target name -> (N, ...) labels.
        schema: modalities and targets.
        train: rows that may be labelled.
        test: rows that only measure.
    """

    name: str
    title: str
    samples: tuple[Sample, ...]
    labels: Labels
    schema: Schema
    train: IntArray
    test: IntArray

    def __post_init__(self) -> None:
        if not len(self.train) or not len(self.test):
            raise DataError(
                f"{self.name}: {len(self.train)} samples to label and {len(self.test)} to test; "
                "both are needed"
            )


def usable(schema: Schema, labels: Labels) -> IntArray:
    """Return the rows that have a label of the multimodal target."""
    target = schema.multimodal
    return np.flatnonzero(known(target, np.asarray(labels[target.name]))).astype(np.int64)


def vector(values: npt.NDArray) -> Reference:
    """Return a feature vector or sequence as a raw value that is identified by its content."""
    array = np.ascontiguousarray(values, dtype=np.float32)
    key = hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()
    return Reference(f"array {array.shape} {key}", partial(_npy, array))


def _npy(array: npt.NDArray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
