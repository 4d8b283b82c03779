"""Training on prepared vectors, as `model.training.train` calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from model import labels as labelling
from model.arrays import Array
from model.coalitions import coalitions_of, mean_contributions
from model.encoders.scaling import Scaled
from model.evaluation import of_further, scores
from model.fusion import MOST_MODALITIES
from model.inputs import Inputs
from model.model import Model, OutOfFold
from model.network import Network
from model.schema import Schema, Target
from model.vectors.folds import Folds, divide
from model.vectors.heads import Head
from model.vectors.learner import Learnt, Vectors, learn
from model.vectors.network import VectorNetwork
from strategies.pool import BoolArray, HeldOut, IntArray, TargetKind


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
    encoded = _encoded(model, inputs.take(rows))
    schema = model.schema
    found: dict[str, OutOfFold] = {}
    for question, of in zip(schema.questions, network.questions, strict=True):
        about = schema.about(question)
        labelled = _labelled(about, truth, rows)
        here = {target.name: truth[target.name][rows[labelled]] for target in about.targets}
        vectors = Vectors(
            [values[labelled] for values in encoded],
            network.views,
            inputs.present[rows[labelled]],
        )
        folds = divide(question, here[question.name], seed)
        weights = model.preset.training.class_weights
        learnt = learn(about, vectors, here, folds, class_weights=weights)
        network.adopt(learnt, of)
        if question is schema.multimodal:
            model.metadata.update(folds=folds.count, balance=learnt.balance)
        if folds.count:
            one = _out_of_fold(model, about, learnt, folds, rows[labelled])
            found[question.name] = one
            if question.kind is not TargetKind.REGRESSION:
                known = labelling.known(question, here[question.name])
                answers = here[question.name][known]
                model.held_out[question.name] = HeldOut(one.predicted[known], answers)
    first = found.pop(schema.multimodal.name, None)
    if first is not None:
        first = replace(first, further=found)
    model.out_of_fold = first


def _labelled(schema: Schema, truth: Mapping[str, Array], rows: IntArray) -> BoolArray:
    """Return which rows have a label of a question, or a modality's own beside it.

    Each question is learned from its own labels, so that what it learns is what it would alone.
    """
    any_of = np.zeros(len(rows), bool)
    for target in schema.targets:
        any_of |= labelling.known(target, truth[target.name][rows])
    return any_of


def _out_of_fold(
    model: Model, schema: Schema, learnt: Learnt, folds: Folds, rows: IntArray
) -> OutOfFold:
    return OutOfFold(
        rows,
        folds.of,
        _activated(model, learnt.fused, schema.multimodal),
        {
            name: _activated(model, head, schema.unimodal(name))
            for name, head in zip(schema.names, learnt.heads, strict=True)
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
        values: list[Array] = []
        for fold in np.unique(found.fold):
            own = np.flatnonzero(known & (found.fold == fold))
            member = network.member(int(fold))
            values.append(coalitions_of(model, used.take(own), here[target.name][own], member))
        measured.update(mean_contributions(np.concatenate(values), model.schema.names))
    for question in model.schema.questions[1:]:
        if question.name in found.further:
            one = found.further[question.name]
            known_truth = truth[question.name][one.indices]
            measured.update(of_further(model, question, one.predicted, known_truth))
    return measured


@torch.no_grad()
def _encoded(model: Model, inputs: Inputs) -> list[Tensor]:
    """Return each modality's scaled vectors (n, D_m)."""
    parts = []
    for _, batch in model.stream(inputs):
        encoded = model.network.encode(batch)
        parts.append(model.network.features(encoded.activations, encoded.present))
    return [torch.cat(each).cpu() for each in zip(*parts, strict=True)]


def _activated(model: Model, head: Head, target: Target) -> Array:
    values = model.activate(target, head.logits).numpy()
    return values[:, 0] if target.kind is TargetKind.REGRESSION else values
