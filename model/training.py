"""Training from the initial weights each time, seeded."""

from __future__ import annotations

import importlib.metadata
import logging
import random
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from model import device as devices
from model import labels as labelling
from model.arrays import Array
from model.encoders import encoder_for
from model.evaluation import evaluate
from model.fitting import Fit, Progress
from model.inputs import Inputs
from model.labels import Labels
from model.model import Model
from model.options import Preparation, Training
from model.presets import Preset
from model.schema import Schema
from model.vectors.network import VectorNetwork, network_for
from model.vectors.training import fit_scaling, fit_vectors, out_of_fold_metrics
from strategies.pool import TargetKind

logger = logging.getLogger(__name__)

_LIBRARIES = ("torch", "torchvision", "torchaudio", "transformers", "numpy", "equipoise")

__all__ = ["evaluate", "train"]


def train(
    inputs: Inputs,
    labels: Labels,
    schema: Schema,
    preset: Preset,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    pool: Inputs | None = None,
) -> Model:
    """Train a network on labelled samples, from the seed's initial weights (no warm start).

    Where every encoder prepares vectors of views, heads are fitted to convergence in place of
    gradient steps (`model.vectors`).

    Args:
        inputs: prepared samples.
        labels: target name -> labels of these samples.
        schema: modalities and targets.
        preset: every hyper-parameter.
        seed: decides initial weights, batches, augmentation and dropout.
        device: `auto`, `cpu`, `cuda`, `mps`.
        progress: called with ("train", epochs done, epochs).
        pool: every prepared sample of the project, labelled or not, on which prepared vectors are
            scaled; by default the labelled ones.

    Returns:
        The trained model; questions that have too few labels yet wait: its schema lacks them, and
        `metadata["waiting"]` names them. Where labels were held back, by the preset or in folds,
        `metadata["metrics"]` has what they measured; `metadata["epochs"]` counts the epochs.

    Raises:
        NotEnoughLabels: no sample has a label of any question and a readable modality.
    """
    truth = labelling.check(labels, schema, inputs.size)
    waiting = labelling.waiting(schema, truth)
    schema = schema.without(waiting)
    where = devices.resolve(device)
    with (
        torch.random.fork_rng(devices=[where] if where.type == "cuda" else []),
        devices.threads(small=preset.preparation.mode == "frozen"),
    ):
        random.seed(seed)
        torch.manual_seed(seed)
        used = _usable(inputs, truth, schema)
        model = _initial(inputs, truth, schema, preset, where)
        fit_scaling(model.network, inputs if pool is None else pool)
        metrics = _fitted(model, inputs, truth, used, seed, progress)
    model.network.eval()
    model.metadata.update(seed=seed, n_labels=int(used.size), versions=_versions())
    if waiting:
        model.metadata["waiting"] = waiting
    model.metadata["pretrained"] = _pretrained(schema, preset.preparation)
    model.metadata["metrics"] = metrics
    return model


def _fitted(
    model: Model,
    inputs: Inputs,
    truth: Mapping[str, Array],
    used: Array,
    seed: int,
    progress: Progress | None,
) -> dict[str, float]:
    """Fit the network; return what was measured on labels that were held back."""
    network, scaled = model.network, _scaled(model, truth)
    if isinstance(network, VectorNetwork):
        plain = {name: values.cpu().numpy() for name, values in scaled.items()}
        fit_vectors(model, network, inputs, plain, used, seed)
        return out_of_fold_metrics(model, network, inputs, truth)
    rows, held = _split(used, model.preset.training, seed)
    Fit(model, inputs, scaled, rows, held, seed).run(progress)
    model.metadata["held_back"] = int(held.size)
    return _metrics(model, inputs, truth, held)


def _pretrained(schema: Schema, preparation: Preparation) -> bool:
    return all(encoder_for(modality, preparation).pretrained for modality in schema.modalities)


def _metrics(
    model: Model, inputs: Inputs, truth: Mapping[str, Array], held: Array
) -> dict[str, float]:
    if not held.size:
        return {}
    questions = model.schema.questions
    if not any(labelling.known(q, truth[q.name][held]).any() for q in questions):
        return {}
    return evaluate(model, inputs.take(held), {k: values[held] for k, values in truth.items()})


def _versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _initial(
    inputs: Inputs, truth: Mapping[str, Array], schema: Schema, preset: Preset, where: torch.device
) -> Model:
    names = schema.names
    shapes = {name: column.shape for name, column in zip(names, inputs.columns, strict=True)}
    prints = {n: column.fingerprint for n, column in zip(names, inputs.columns, strict=True)}
    ranges = {
        target.name: labelling.value_range(target, truth[target.name])
        for target in schema.targets
        if target.kind is TargetKind.REGRESSION
    }
    network = network_for(schema, preset, shapes).to(where)
    return Model(schema, preset, network, shapes, prints, ranges, {}, where)


def _usable(inputs: Inputs, truth: Mapping[str, Array], schema: Schema) -> Array:
    """Return the samples with any label and any modality."""
    labelled = np.zeros(inputs.size, bool)
    for target in schema.targets:
        labelled |= labelling.known(target, truth[target.name])
    rows = np.flatnonzero(labelled & inputs.present.any(axis=1))
    if not rows.size:
        raise labelling.NotEnoughLabels("no labelled task has a modality that can be read")
    return rows


def _split(rows: Array, training: Training, seed: int) -> tuple[Array, Array]:
    """Hold labels back for validation where the preset asks for it and enough exist."""
    count = (
        int(len(rows) * training.validation_share) if len(rows) >= training.validation_min else 0
    )
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[count:]), np.sort(order[:count])


def _scaled(model: Model, truth: Mapping[str, Array]) -> dict[str, Tensor]:
    """Return labels as tensors, regression in units of half the range around its midpoint."""
    scaled = {}
    for target in model.schema.targets:
        values = torch.from_numpy(truth[target.name])
        if target.kind is TargetKind.REGRESSION:
            low, high = model.ranges[target.name]
            values = (values - (low + high) / 2) / ((high - low) / 2)
        scaled[target.name] = values.to(model.device)
    return scaled
