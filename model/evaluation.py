"""Measure a model on labelled samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from model import labels as labelling
from model.arrays import Array
from model.coalitions import coalitions_of, mean_contributions
from model.fusion import MOST_MODALITIES
from model.inputs import Inputs
from model.labels import Labels
from model.metrics import measure
from model.model import Model
from model.schema import Target
from strategies.pool import BoolArray, TargetKind


def evaluate(model: Model, inputs: Inputs, labels: Labels) -> dict[str, float]:
    """Measure a model on labelled samples; a metric without any label to measure is left out.

    Returns:
        `n` samples measured; for classification `accuracy`, `macro_accuracy`, `f1` (macro), `ece`
        and `contribution:<modality>`; for multilabel `accuracy` (per label), `exact`, `f1` (micro),
        `macro_f1`; for regression `mae`, `corr`, `acc2`, `acc3`, `acc5`, `acc7`, `f1` (weighted,
        of the two halves). Each modality's own prediction: the first metric with
        `:<modality>` appended, e.g. `accuracy:image`. Other questions than the first: all metrics
        with `@<question>` appended, e.g. `accuracy@colour`.
    """
    truth = labelling.check(labels, model.schema, inputs.size)
    target = model.schema.multimodal
    predicted = model.predict(inputs)
    alone = model.predict_unimodal(inputs)
    found = scores(model, truth, predicted[target.name], alone, inputs.present)
    for question in model.schema.questions[1:]:
        found.update(of_further(model, question, predicted[question.name], truth[question.name]))
    if target.kind is TargetKind.CLASSIFICATION and len(model.schema.names) <= MOST_MODALITIES:
        known = np.flatnonzero(labelling.known(target, truth[target.name]))
        if known.size:
            fused = model.network.fused
            values = coalitions_of(model, inputs.take(known), truth[target.name][known], fused)
            found.update(mean_contributions(values, model.schema.names))
    return found


def of_further(model: Model, question: Target, predicted: Array, truth: Array) -> dict[str, float]:
    """Return the metrics of another question than the first, named `<metric>@<question>`."""
    rows = labelling.known(question, truth)
    if not rows.any():
        return {}
    ends = model.ranges.get(question.name)
    found = measure(question.kind, predicted[rows], truth[rows], ends)
    named = {f"{metric}@{question.name}": value for metric, value in found.items()}
    return {f"n@{question.name}": float(rows.sum()), **named}


def scores(
    model: Model,
    truth: Mapping[str, Array],
    predicted: Array,
    alone: Mapping[str, Array],
    present: BoolArray,
) -> dict[str, float]:
    """Return the metrics of `evaluate` of given predictions, but for contributions.

    Args:
        model: says what the targets are.
        truth: target name -> labels of N samples.
        predicted: (N, K) or (N,) of the multimodal target.
        alone: modality -> the same of its own target.
        present: (N, M).
    """
    target = model.schema.multimodal
    rows = labelling.known(target, truth[target.name])
    found = {"n": float(rows.sum())}
    if rows.any():
        ends = model.ranges.get(target.name)
        found.update(measure(target.kind, predicted[rows], truth[target.name][rows], ends))
    for column, name in enumerate(model.schema.names):
        own = model.schema.unimodal(name)
        rows = labelling.known(own, truth[own.name]) & present[:, column]
        if rows.any():
            of_one = measure(
                own.kind, alone[name][rows], truth[own.name][rows], model.ranges.get(own.name)
            )
            key = next(iter(of_one))
            found[f"{key}:{name}"] = of_one[key]
    return found
