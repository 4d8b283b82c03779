"""Measure a model on labelled samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from model import labels as labelling
from model import metrics
from model.arrays import Array
from model.fusion import MOST_MODALITIES, Fusion, subsets
from model.inputs import Inputs
from model.labels import Labels
from model.look import coalition_values
from model.model import Model
from model.schema import Target
from strategies.pool import BoolArray, TargetKind
from strategies.shapley import contributions


def evaluate(model: Model, inputs: Inputs, labels: Labels) -> dict[str, float]:
    """Measure a model on labelled samples; a metric without any label to measure is left out.

    Returns:
        `n` samples measured; for classification `accuracy`, `macro_accuracy`, `f1` (macro), `ece`
        and `contribution:<modality>`; for multilabel `accuracy` (per label), `exact`, `f1` (micro),
        `macro_f1`; for regression `mae`, `corr`, `acc2`, `acc3`, `acc5`, `acc7`, `f1` (weighted,
        of the two halves). Each modality's own prediction: the first metric with
        `:<modality>` appended, e.g. `accuracy:image`.
    """
    truth = labelling.check(labels, model.schema, inputs.size)
    target = model.schema.multimodal
    predicted = model.predict(inputs)[target.name]
    found = scores(model, truth, predicted, model.predict_unimodal(inputs), inputs.present)
    if target.kind is TargetKind.CLASSIFICATION and len(model.schema.names) <= MOST_MODALITIES:
        known = np.flatnonzero(labelling.known(target, truth[target.name]))
        fused = model.network.fused
        values = coalitions_of(model, inputs.take(known), truth[target.name][known], fused)
        found.update(mean_contributions(values, model.schema.names))
    return found


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
    found.update(measure(model, target, predicted[rows], truth[target.name][rows]))
    for column, name in enumerate(model.schema.names):
        own = model.schema.unimodal(name)
        rows = labelling.known(own, truth[own.name]) & present[:, column]
        if rows.any():
            of_one = measure(model, own, alone[name][rows], truth[own.name][rows])
            key = next(iter(of_one))
            found[f"{key}:{name}"] = of_one[key]
    return found


def measure(model: Model, target: Target, predicted: Array, truth: Array) -> dict[str, float]:
    """Return the metrics of one target, the main one first."""
    if target.kind is TargetKind.REGRESSION:
        return metrics.numbers(predicted, truth, *model.ranges[target.name])
    if target.kind is TargetKind.MULTILABEL:
        return metrics.label_sets(predicted, truth >= 0.5)
    return metrics.classes(predicted, labelling.hard(truth))


@torch.no_grad()
def coalitions_of(model: Model, inputs: Inputs, truth: Array, fused: Fusion) -> Array:
    """Return (N, 2^M) probabilities that a fused head's coalitions give the true classes."""
    target, network = model.schema.multimodal, model.network
    classes = torch.from_numpy(labelling.hard(truth)).to(model.device)
    parts = []
    for rows, batch in model.stream(inputs):
        encoded = network.encode(batch)
        features = network.features(encoded.activations, encoded.present)
        joined = network.joined(encoded, features)
        probabilities = model.activate(target, network.bound(fused(joined)))
        values = coalition_values(model, joined, probabilities, classes[rows], fused)
        parts.append(values.cpu().numpy())
    return np.concatenate(parts)


def mean_contributions(values: Array, names: Sequence[str]) -> dict[str, float]:
    """Return each modality's mean contribution to the true class's probability.

    Note: as in BMMAL's figures 2 and 3; while ranking, the pseudo-class takes the true one's place.
    """
    share = contributions({group: values[:, i] for i, group in enumerate(subsets(names))}, names)
    means = share.mean(axis=0)
    return {f"contribution:{name}": float(m) for name, m in zip(names, means, strict=True)}
