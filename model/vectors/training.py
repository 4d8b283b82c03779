"""Training on prepared vectors, as `model.training.train` calls it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from model import labels as labelling
from model.arrays import Array
from model.coalitions import coalitions_of, mean_contributions
from model.encoders.scaling import Scaled
from model.evaluation import scores
from model.fusion import MOST_MODALITIES
from model.inputs import Inputs
from model.model import Model, OutOfFold
from model.network import Network
from model.vectors.folds import divide
from model.vectors.heads import Head
from model.vectors.learner import Vectors, learn
from model.vectors.network import VectorNetwork
from strategies.pool import IntArray, TargetKind


def fit_scaling(network: Network, pool: Inputs) -> None:
    """Take every view's scale and directions from a pool."""
    for encoder, column in zip(network.encoders, pool.columns, strict=True):
        if isinstance(encoder, Scaled):
            encoder.fit(column)


def fit_vectors(
    model: Model,
    network: VectorNetwork,
    inputs: Inputs,
    truth: Mapping[str, Array],
    rows: IntArray,
    seed: int,
) -> None:
    """Fit a network's heads, and keep what its members say about labels they never saw.

    Args:
        model: with a network whose scaling is fitted.
        network: the model's.
        inputs: labelled samples.
        truth: target name -> their labels, numbers in half ranges around the midpoint.
        rows: samples to learn from.
        seed: decides the folds.
    """
    used = inputs.take(rows)
    here = {name: values[rows] for name, values in truth.items()}
    vectors = Vectors(_encoded(model, used), network.views, used.present)
    folds = divide(model.schema.multimodal, here[model.schema.multimodal.name], seed)
    weights = model.preset.training.class_weights
    learnt = learn(model.schema, vectors, here, folds, class_weights=weights)
    network.adopt(learnt)
    model.metadata.update(folds=folds.count, balance=learnt.balance)
    if folds.count:
        targets = [model.schema.unimodal(name) for name in model.schema.names]
        model.out_of_fold = OutOfFold(
            rows,
            folds.of,
            _activated(model, learnt.fused, model.schema.multimodal.name),
            {
                name: _activated(model, head, target.name)
                for name, target, head in zip(
                    model.schema.names, targets, learnt.heads, strict=True
                )
            },
        )


def out_of_fold_metrics(
    model: Model, network: VectorNetwork, inputs: Inputs, truth: Mapping[str, Array]
) -> dict[str, float]:
    """Measure the members on labels that each has not seen; {} where there are too few.

    The names are those of `evaluate`. A member lacks a fifth of the labels, so that the network,
    which has all of them, is a little better than this.
    """
    found, target = model.out_of_fold, model.schema.multimodal
    if found is None:
        return {}
    used = inputs.take(found.indices)
    here = {name: values[found.indices] for name, values in truth.items()}
    measured = scores(model, here, found.predicted, found.alone, used.present)
    if target.kind is TargetKind.CLASSIFICATION and len(model.schema.names) <= MOST_MODALITIES:
        known = labelling.known(target, here[target.name])
        values = []
        for fold in np.unique(found.fold):
            own = np.flatnonzero(known & (found.fold == fold))
            member = network.member(int(fold))
            values.append(coalitions_of(model, used.take(own), here[target.name][own], member))
        measured.update(mean_contributions(np.concatenate(values), model.schema.names))
    return measured


@torch.no_grad()
def _encoded(model: Model, inputs: Inputs) -> list[Tensor]:
    """Return each modality's scaled vectors (n, D_m)."""
    parts = []
    for _, batch in model.stream(inputs):
        encoded = model.network.encode(batch)
        parts.append(model.network.features(encoded.activations, encoded.present))
    return [torch.cat(each).cpu() for each in zip(*parts, strict=True)]


def _activated(model: Model, head: Head, name: str) -> Array:
    target = next(target for target in model.schema.targets if target.name == name)
    values = model.activate(target, head.logits).numpy()
    return values[:, 0] if target.kind is TargetKind.REGRESSION else values
