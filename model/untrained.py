"""What there is to see before anything is labelled: the prepared arrays as vectors."""

from __future__ import annotations

import math

import numpy as np
import torch

from model.arrays import Float32Array
from model.encoders import encoder_for
from model.encoders.base import Encoder
from model.encoders.scaling import Scaled
from model.inputs import Column, Inputs
from model.options import Preparation
from model.schema import Schema
from strategies.pool import Pool, TargetKind

# Wider arrays are projected at random to this width, which keeps distances within a few percent.
WIDTH = 512
# Wider ones yet are recordings and clips, whose single samples say nothing.
WIDEST = 2**15
_CHUNK = 2**22


def look_untrained(inputs: Inputs, schema: Schema, preparation: Preparation) -> Pool:
    """Look at a pool before anything is labelled: prepared arrays stand for features.

    Each is standardised on the pool, so that no scale decides; absent modalities, tokens and raw
    recordings are zero vectors. Measured in docs/strategies.md: coverage of pixels and log-mel
    pictures already beats chance by far. Without any vector there are no features.
    """
    encoders = [encoder_for(modality, preparation) for modality in schema.modalities]
    columns = [
        scaled(encoder, column) if encoder.views else standardised(column, present)
        for encoder, column, present in zip(encoders, inputs.columns, inputs.present.T, strict=True)
    ]
    features = None
    if any(values is not None for values in columns):
        nothing = np.zeros((inputs.size, 1), np.float32)
        features = {
            name: nothing if values is None else values
            for name, values in zip(schema.names, columns, strict=True)
        }
    return Pool(
        size=inputs.size,
        modalities=schema.names,
        target=schema.multimodal.kind if schema.targets else TargetKind.CLASSIFICATION,
        features=features,
        present=inputs.present,
        pretrained=all(e.views or (e.pretrained and e.embed is not None) for e in encoders),
    )


@torch.no_grad()
def scaled(encoder: Encoder, column: Column) -> Float32Array | None:
    """Return (N, D) prepared vectors of views on one scale, zero rows where absent."""
    there = np.flatnonzero(column.row >= 0)
    if not there.size:
        return None
    scaling = Scaled(encoder.views, column.shape[0])
    scaling.fit(column)
    found = np.zeros((len(column.row), scaling.width), np.float32)
    for rows in np.array_split(there, -(-len(there) // 1024)):
        values = torch.from_numpy(column.gather(rows).astype(np.float32))
        found[rows] = scaling(values).numpy()
    return found


def standardised(column: Column, present: np.ndarray) -> Float32Array | None:
    """Return (N, D) vectors of mean 0 and deviation 1; None where there are none.

    Values of a vector are scaled each by its own deviation, those of a picture or spectrogram by
    one for all.
    """
    width = math.prod(column.shape)
    kinds = {shard.dtype for shard in column.shards}
    vectors = all(kind == np.uint8 or kind.kind == "f" for kind in kinds)
    if not column.shape or not vectors or width > WIDEST or not present.any():
        return None
    rows = np.flatnonzero(present)
    parts = np.array_split(rows, -(-len(rows) * width // _CHUNK))

    def read(part: np.ndarray) -> np.ndarray:
        return column.gather(part).reshape(len(part), width).astype(np.float64)

    mean = np.sum([read(part).sum(axis=0) for part in parts], axis=0) / len(rows)
    variance = np.sum([((read(part) - mean) ** 2).sum(axis=0) for part in parts], axis=0)
    deviation = np.sqrt(variance / len(rows))
    if len(column.shape) > 1:  # a picture's corners must not count as much as its middle
        deviation[:] = np.sqrt((deviation**2).mean())
    scale = np.divide(1, deviation, out=np.zeros(width), where=deviation > 1e-6)
    thin = None
    if width > WIDTH:
        thin = np.random.default_rng(0).normal(size=(width, WIDTH)) / np.sqrt(WIDTH)
    found = np.zeros((len(present), min(width, WIDTH)), np.float32)
    for part in parts:
        values = (read(part) - mean) * scale
        found[part] = values if thin is None else values @ thin
    return found
