"""Training from the initial weights each time, seeded."""

from __future__ import annotations

import copy
import importlib.metadata
import logging
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model import device as devices
from model import labels as labelling
from model import losses, optimisation
from model.arrays import Array
from model.encoders import encoder_for
from model.evaluation import evaluate
from model.inputs import Inputs
from model.labels import Labels
from model.model import Model
from model.network import Network
from model.presets import Preset
from model.schema import Schema
from model.vectors.network import VectorNetwork, network_for
from model.vectors.training import fit_scaling, fit_vectors, out_of_fold_metrics
from strategies.pool import TargetKind

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]

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
        The trained model. Where labels were held back, by the preset or in folds,
        `metadata["metrics"]` has what they measured; `metadata["epochs"]` counts the epochs.

    Raises:
        NotEnoughLabels: no sample has a label of the multimodal target and a readable modality.
    """
    truth = labelling.check(labels, schema, inputs.size)
    where = devices.resolve(device)
    with (
        torch.random.fork_rng(devices=[where] if where.type == "cuda" else []),
        devices.threads(small=preset.mode == "frozen"),
    ):
        random.seed(seed)
        torch.manual_seed(seed)
        used = _usable(inputs, truth, schema)
        model = _initial(inputs, truth, schema, preset, where)
        fit_scaling(model.network, inputs if pool is None else pool)
        metrics = _fitted(model, inputs, truth, used, seed, progress)
    model.network.eval()
    model.metadata.update(seed=seed, n_labels=int(used.size), versions=_versions())
    model.metadata["pretrained"] = _pretrained(schema, preset)
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
    rows, held = _split(used, model.preset, seed)
    _Fit(model, inputs, scaled, rows, held, seed).run(progress)
    model.metadata["held_back"] = int(held.size)
    return _metrics(model, inputs, truth, held)


def _pretrained(schema: Schema, preset: Preset) -> bool:
    return all(encoder_for(modality, preset).pretrained for modality in schema.modalities)


def _metrics(
    model: Model, inputs: Inputs, truth: Mapping[str, Array], held: Array
) -> dict[str, float]:
    target = model.schema.multimodal
    if not held.size or not labelling.known(target, truth[target.name][held]).any():
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


def _split(rows: Array, preset: Preset, seed: int) -> tuple[Array, Array]:
    """Hold labels back for validation where the preset asks for it and enough exist."""
    count = int(len(rows) * preset.validation_share) if len(rows) >= preset.validation_min else 0
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


@dataclass
class _Fit:
    """One training run.

    Attributes:
        truth: target name -> labels of all samples, as the losses read them.
        rows: samples to train on.
        held: samples held back.
    """

    model: Model
    inputs: Inputs
    truth: dict[str, Tensor]
    rows: Array
    held: Array
    seed: int

    def run(self, progress: Progress | None) -> None:
        """Train all epochs, or until the held-back loss has not improved for `patience` epochs."""
        preset, network = self.model.preset, self.model.network
        per_epoch = math.ceil(len(self.rows) / preset.batch_size)
        epochs = max(preset.epochs, math.ceil(preset.min_steps / per_epoch))
        optimizer = optimisation.optimizer(network, self.model.schema, preset)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, optimisation.factor(preset, epochs, per_epoch)
        )
        self.weights = losses.class_weights(self.model.schema, preset, self.truth, self.rows)
        stopper = _EarlyStopping(preset.patience if self.held.size else 0)
        rng = np.random.default_rng(self.seed)
        for epoch in range(1, epochs + 1):
            network.train()
            for chosen in _shuffled(self.rows, preset.batch_size, rng):
                optimizer.zero_grad(set_to_none=True)
                self._loss(chosen).backward()
                optimizer.step()
                schedule.step()
            if progress is not None:
                progress("train", epoch, epochs)
            if stopper.patience and stopper.stop(self._held_loss(), network):
                break
        stopper.restore(network)
        self.model.metadata["epochs"] = epoch

    def _loss(self, chosen: Array) -> Tensor:
        model = self.model
        batch = self.inputs.batch(chosen, model.device)
        places = torch.from_numpy(chosen).to(model.device)
        here = {name: values[places] for name, values in self.truth.items()}
        with devices.mixed_precision(model.device, model.preset.amp):
            unimodal, fused = model.network(batch)
        outputs = ([logits.float() for logits in unimodal], fused.float())
        return losses.joint(model.schema, model.preset, outputs, here, batch.present, self.weights)

    @torch.no_grad()
    def _held_loss(self) -> float:
        self.model.network.eval()
        size = max(64, self.model.preset.batch_size)
        parts = [self.held[start : start + size] for start in range(0, len(self.held), size)]
        return sum(float(self._loss(part)) * len(part) for part in parts) / len(self.held)


class _EarlyStopping:
    """Remembers the best epoch's weights; does nothing with patience 0."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best = math.inf
        self.since = 0
        self.kept: dict[str, Tensor] | None = None

    def stop(self, loss: float, network: Network) -> bool:
        if loss < self.best:
            self.best, self.since = loss, 0
            self.kept = copy.deepcopy(network.state_dict())
        else:
            self.since += 1
        return self.since >= self.patience

    def restore(self, network: Network) -> None:
        if self.kept is not None:
            network.load_state_dict(self.kept)


def _shuffled(rows: Array, size: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield an epoch's batches; rows of one batch in storage order, which reads faster.

    Note: of even sizes, because batch normalisation suffers from a last batch of a few rows.
    """
    order = rng.permutation(rows)
    for batch in np.array_split(order, math.ceil(len(order) / size)):
        yield np.sort(batch)
