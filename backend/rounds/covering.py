"""A look at the pool without a model, beside what is covered already: all on one scale."""

from __future__ import annotations

from dataclasses import replace

from model.inputs import Inputs
from model.options import Preparation
from model.schema import Schema
from model.untrained import look_untrained
from strategies import Pool


def covering(inputs: Inputs, covered: int, schema: Schema, preparation: Preparation) -> Pool:
    """Return the pool as it is before anything is learnt.

    Args:
        inputs: the tasks that are covered, then the pool.
        covered: how many are.
        schema: the modalities.
        preparation: names the encoders.
    """
    whole = look_untrained(inputs, schema, preparation)
    pool = replace(whole, size=inputs.size - covered)
    if whole.present is not None:
        pool = replace(pool, present=whole.present[covered:])
    if whole.features is None or not covered:
        return pool
    return replace(
        pool,
        features={name: values[covered:] for name, values in whole.features.items()},
        labelled_features={name: values[:covered] for name, values in whole.features.items()},
    )
