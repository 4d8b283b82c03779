"""Training from the initial weights each time, and measuring a model."""

from __future__ import annotations

import importlib.metadata
import logging
import math
import random
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from model import device as devices
from model import labels as labelling
from model import losses, metrics
from model.arrays import Array
from model.inputs import Inputs
from model.labels import Labels
from model.model import Model
from model.network import Network
from model.presets import Preset
from model.schema import Schema
from strategies.pool import TargetKind

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]

_LIBRARIES = ("torch", "torchvision", "torchaudio", "transformers", "numpy", "equipoise")


def train(
    inputs: Inputs,
    labels: Labels,
    schema: Schema,
    preset: Preset,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Model:
    """Train a network on labelled samples, from the seed's initial weights (no warm start).

    Args:
        inputs: prepared samples.
        labels: target name -> labels of these samples.
        schema: modalities and targets.
        preset: every hyper-parameter.
        seed: decides initial weights, batches, augmentation and dropout.
        device: `auto`, `cpu`, `cuda`, `mps`.
        progress: called with ("train", epochs done, epochs).

    Raises:
        NotEnoughLabels: no sample has a label of the multimodal target.
    """
    truth = labelling.check(labels, schema, inputs.size)
    where = devices.resolve(device)
    with torch.random.fork_rng(devices=_cuda(where)), devices.threads(_small(preset)):
        _seed(seed)
        model = _initial(inputs, truth, schema, preset, where)
        usable = _usable(inputs, truth, schema)
        _fit(model, inputs, _scaled(model, truth), usable, seed, progress)
    model.network.eval()
    model.metadata.update(seed=seed, n_labels=int(usable.size), versions=_versions())
    return model


def _small(preset: Preset) -> bool:
    return preset.mode == "frozen"


def _cuda(where: torch.device) -> list[torch.device]:
    return [where] if where.type == "cuda" else []


def _seed(seed: int) -> None:
    random.seed(seed)
    torch.manual_seed(seed)


def _versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _initial(
    inputs: Inputs,
    truth: dict[str, Array],
    schema: Schema,
    preset: Preset,
    where: torch.device,
) -> Model:
    names = schema.names
    shapes = {name: column.shape for name, column in zip(names, inputs.columns, strict=True)}
    prints = {n: column.fingerprint for n, column in zip(names, inputs.columns, strict=True)}
    ranges = {
        target.name: _range(target.low, target.high, truth[target.name])
        for target in schema.targets
        if target.kind is TargetKind.REGRESSION
    }
    network = Network(schema, preset, shapes).to(where)
    return Model(schema, preset, network, shapes, prints, ranges, {}, where)


def _range(low: float | None, high: float | None, values: Array) -> tuple[float, float]:
    """Return a regression target's range, ends that the config leaves open from the labels."""
    finite = values[np.isfinite(values)]
    bottom = float(finite.min()) if low is None and finite.size else float(low or 0.0)
    top = float(finite.max()) if high is None and finite.size else float(high or 0.0)
    return (bottom, top) if top > bottom else (bottom - 0.5, bottom + 0.5)


def _usable(inputs: Inputs, truth: dict[str, Array], schema: Schema) -> Array:
    """Return the samples with any label and any modality."""
    labelled = np.zeros(inputs.size, bool)
    for target in schema.targets:
        labelled |= labelling.known(target, truth[target.name])
    rows = np.flatnonzero(labelled & inputs.present.any(axis=1))
    if not rows.size:
        raise labelling.NotEnoughLabels("no labelled task has a modality that can be read")
    return rows


def _scaled(model: Model, truth: dict[str, Array]) -> dict[str, Tensor]:
    """Return labels as tensors, regression in units of half the range around its midpoint."""
    scaled = {}
    for target in model.schema.targets:
        values = torch.from_numpy(truth[target.name])
        if target.kind is TargetKind.REGRESSION:
            low, high = model.ranges[target.name]
            values = (values - (low + high) / 2) / ((high - low) / 2)
        scaled[target.name] = values.to(model.device)
    return scaled


def _fit(
    model: Model,
    inputs: Inputs,
    truth: dict[str, Tensor],
    rows: Array,
    seed: int,
    progress: Progress | None,
) -> None:
    preset, network = model.preset, model.network
    per_epoch = math.ceil(len(rows) / preset.batch_size)
    epochs = max(preset.epochs, math.ceil(preset.min_steps / per_epoch))
    optimizer = _optimizer(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _factor(preset, epochs, per_epoch))
    network.train()
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        for chosen in _shuffled(rows, preset.batch_size, rng):
            batch = inputs.batch(chosen, model.device)
            here = {name: values[torch.from_numpy(chosen)] for name, values in truth.items()}
            loss = losses.joint(model.schema, preset, network(batch), here, batch.present, {})
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        if progress is not None:
            progress("train", epoch + 1, epochs)


def _shuffled(rows: Array, size: int, rng: np.random.Generator) -> Iterator[Array]:
    order = rng.permutation(rows)
    for start in range(0, len(order), size):
        yield np.sort(order[start : start + size])


def _optimizer(model: Model) -> torch.optim.Optimizer:
    preset, network = model.preset, model.network
    groups = [
        {"params": list(encoder.parameters()), "lr": preset.rate(modality)}
        for modality, encoder in zip(model.schema.modalities, network.encoders, strict=True)
    ]
    shared = [network.last, network.heads, network.fused]
    groups.append({"params": [p for part in shared for p in part.parameters()], "lr": preset.lr})
    kind = torch.optim.AdamW if preset.optimizer == "adamw" else torch.optim.Adam
    groups = [group for group in groups if group["params"]]
    return kind(groups, lr=preset.lr, betas=preset.betas, weight_decay=preset.weight_decay)


def _factor(preset: Preset, epochs: int, per_epoch: int) -> Callable[[int], float]:
    """Return the learning rate's factor by step: linear warm-up, then cosine or milestones."""
    warm = preset.warmup * per_epoch
    total = epochs * per_epoch

    def factor(step: int) -> float:
        start = min(1.0, (step + 1) / warm) if warm else 1.0
        if preset.schedule == "cosine":
            return start * 0.5 * (1 + math.cos(math.pi * step / total))
        return start * 0.1 ** sum(step >= m * per_epoch for m in preset.milestones)

    return factor


def evaluate(model: Model, inputs: Inputs, labels: Labels) -> dict[str, float]:
    """Measure a model on labelled samples.

    Returns:
        `accuracy`, `macro_accuracy`, `f1`, `ece` of the multimodal prediction and
        `accuracy:<modality>` of each modality alone, over samples that have the label.
    """
    truth = labelling.check(labels, model.schema, inputs.size)
    target = model.schema.multimodal
    found = {"n": float(labelling.known(target, truth[target.name]).sum())}
    probabilities = model.predict(inputs)[target.name]
    values = truth[target.name]
    rows = labelling.known(target, values)
    p, y = probabilities[rows], values[rows]
    found["accuracy"] = metrics.accuracy(p, y)
    found["macro_accuracy"] = metrics.macro_accuracy(p, y)
    found["f1"] = metrics.macro_f1(p, y)
    found["ece"] = metrics.calibration_error(p, y)
    for column, (name, p) in enumerate(model.predict_unimodal(inputs).items()):
        own = model.schema.unimodal(name)
        rows = labelling.known(own, truth[own.name]) & inputs.present[:, column]
        if rows.any():
            found[f"accuracy:{name}"] = metrics.accuracy(p[rows], truth[own.name][rows])
    return found
