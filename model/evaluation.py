"""Measure a model on labelled samples."""

from __future__ import annotations

import numpy as np
import torch

from model import labels as labelling
from model import metrics
from model.arrays import Array
from model.fusion import MOST_MODALITIES, subsets
from model.inputs import Inputs
from model.labels import Labels
from model.look import coalition_values
from model.model import Model
from model.schema import Target
from strategies.pool import TargetKind
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
    rows = labelling.known(target, truth[target.name])
    found = {"n": float(rows.sum())}
    predicted = model.predict(inputs)[target.name]
    found.update(measure(model, target, predicted[rows], truth[target.name][rows]))
    for column, (name, alone) in enumerate(model.predict_unimodal(inputs).items()):
        own = model.schema.unimodal(name)
        rows = labelling.known(own, truth[own.name]) & inputs.present[:, column]
        if rows.any():
            of_one = measure(model, own, alone[rows], truth[own.name][rows])
            key = next(iter(of_one))
            found[f"{key}:{name}"] = of_one[key]
    if target.kind is TargetKind.CLASSIFICATION and len(model.schema.names) <= MOST_MODALITIES:
        found.update(_mean_contributions(model, inputs, truth[target.name]))
    return found


def measure(model: Model, target: Target, predicted: Array, truth: Array) -> dict[str, float]:
    """Return the metrics of one target, the main one first."""
    if target.kind is TargetKind.REGRESSION:
        return metrics.numbers(predicted, truth, *model.ranges[target.name])
    if target.kind is TargetKind.MULTILABEL:
        return metrics.label_sets(predicted, truth >= 0.5)
    return metrics.classes(predicted, labelling.hard(truth))


@torch.no_grad()
def _mean_contributions(model: Model, inputs: Inputs, truth: Array) -> dict[str, float]:
    """Return each modality's mean contribution to the true class's probability.

    Note: as in BMMAL's figures 2 and 3; while ranking, the pseudo-class takes the true one's place.
    """
    target, network = model.schema.multimodal, model.network
    known = np.flatnonzero(labelling.known(target, truth))
    classes = torch.from_numpy(labelling.hard(truth[known])).to(model.device)
    parts = []
    for rows, batch in model.stream(inputs.take(known)):
        encoded = network.encode(batch)
        features = network.features(encoded.activations, encoded.present)
        joined = network.joined(encoded, features)
        probabilities = model.activate(target, network.multimodal_logits(joined))
        parts.append(coalition_values(model, joined, probabilities, classes[rows]).cpu().numpy())
    values = np.concatenate(parts)
    names = model.schema.names
    share = contributions({group: values[:, i] for i, group in enumerate(subsets(names))}, names)
    means = share.mean(axis=0)
    return {f"contribution:{name}": float(m) for name, m in zip(names, means, strict=True)}
