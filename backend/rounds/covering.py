"""An order without a model, where nothing can be learned: tasks that differ from what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from model.inputs import Inputs
from model.look import look_untrained
from model.presets import Preset
from model.schema import Schema
from strategies import STRATEGIES, Pool
from strategies.strategy import Strategy

Features = dict[str, np.ndarray[Any, Any]]


def covering(inputs: Inputs, covered: int, schema: Schema, preset: Preset) -> tuple[Pool, Strategy]:
    """Return the pool and the strategy that covers it.

    MaxHerding puts first what brings the pool nearest to what is done. CoreSet takes outliers: on
    tweets it left the others as far from what is annotated as random order does. Prepared
    vectors stand for features; pictures and sounds that no pretrained encoder has seen have none,
    and where nothing has any the order is random.

    Note: `tests/backend/test_covering.py -s` prints how far.

    Args:
        inputs: the annotated tasks, then the pool.
        covered: how many are annotated.
        schema: the modalities.
        preset: names the encoders.
    """
    pool = look_untrained(inputs.take(np.arange(covered, inputs.size)), schema, preset)
    vectors = _vectors(inputs, schema, flat=pool.pretrained)
    if not vectors:
        return pool, STRATEGIES["random"]
    places = [schema.names.index(name) for name in vectors]
    pool = replace(
        pool,
        modalities=tuple(vectors),
        present=None if pool.present is None else pool.present[:, places],
        features={name: values[covered:] for name, values in vectors.items()},
    )
    known = {name: values[:covered] for name, values in vectors.items()}
    return replace(pool, labelled_features=known), STRATEGIES["max_herding"]


def _vectors(inputs: Inputs, schema: Schema, *, flat: bool) -> Features:
    """Return (N, D) of the modalities that are vectors; with `flat`, of all."""
    return {
        name: column.gather(slice(None)).astype(np.float32).reshape(inputs.size, -1)
        for name, column in zip(schema.names, inputs.columns, strict=True)
        if column.shape and (flat or len(column.shape) == 1)
    }
