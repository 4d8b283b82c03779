"""Labels as arrays, and what several annotators of one task add up to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from model.arrays import Array
from model.schema import Schema, Target
from strategies.pool import TargetKind

Labels = Mapping[str, Array]
"""Target name -> (N,) int class index (-1 unknown), (N, K) float (multilabel or soft; NaN rows are
unknown), or (N,) float (regression; NaN unknown)."""


class NotEnoughLabels(ValueError):
    """Nothing can be trained yet; the message says what is missing."""


def known(target: Target, values: Array) -> npt.NDArray[np.bool_]:
    """Return (N,) whether a sample has a label for this target."""
    if values.ndim == 2:
        return np.asarray(np.isfinite(values).all(axis=1))
    if target.kind is TargetKind.REGRESSION:
        return np.asarray(np.isfinite(values))
    return np.asarray(values >= 0)


def check(labels: Labels, schema: Schema, size: int) -> dict[str, Array]:
    """Return the labels of the schema's targets, with every promise about them verified.

    Raises:
        ValueError: wrong length, shape or class index.
        NotEnoughLabels: no sample has a label of the multimodal target.
    """
    checked = {}
    for target in schema.targets:
        if target.name not in labels:
            if target.modality is not None:
                checked[target.name] = _unknown(target, size)
                continue
            raise NotEnoughLabels(f"labels of the target {target.name!r} are missing")
        checked[target.name] = _checked(target, np.asarray(labels[target.name]), size)
    multimodal = schema.multimodal
    if not known(multimodal, checked[multimodal.name]).any():
        raise NotEnoughLabels(f"no task has a label of {multimodal.name!r} yet; label some first")
    return checked


def _unknown(target: Target, size: int) -> Array:
    if target.kind is TargetKind.CLASSIFICATION:
        return np.full(size, -1, np.int64)
    if target.kind is TargetKind.MULTILABEL:
        return np.full((size, len(target.classes)), np.nan, np.float32)
    return np.full(size, np.nan, np.float32)


def _checked(target: Target, values: Array, size: int) -> Array:
    if len(values) != size:
        raise ValueError(f"{target.name!r}: {len(values)} labels for {size} samples")
    count = len(target.classes)
    if target.kind is TargetKind.REGRESSION:
        if values.ndim != 1:
            raise ValueError(f"{target.name!r}: a number per sample is expected")
        return values.astype(np.float32)
    if values.ndim == 2:
        if values.shape[1] != count:
            raise ValueError(f"{target.name!r}: {values.shape[1]} columns for {count} classes")
        return values.astype(np.float32)
    if target.kind is TargetKind.MULTILABEL or values.ndim != 1:
        raise ValueError(f"{target.name!r}: an array (N, {count}) is expected")
    if values.size and not (values.min() >= -1 and values.max() < count):
        raise ValueError(f"{target.name!r}: class indices must lie in [-1, {count - 1}]")
    return values.astype(np.int64)
