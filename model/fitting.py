"""Gradient steps: epochs over the labels, until the last or until the held-back loss stays."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model import device as devices
from model import losses, mixup, optimisation
from model.arrays import Array
from model.heads import Answers
from model.inputs import Inputs
from model.model import Model
from model.network import Network

Progress = Callable[[str, int, int], None]


@dataclass
class Fit:
    """One training run.

    Attributes:
        truth: target name -> labels of all samples, as the losses read them.
        rows: samples to train on.
        held: samples held back.
        weights: target name -> class weights of the losses.
    """

    model: Model
    inputs: Inputs
    truth: dict[str, Tensor]
    rows: Array
    held: Array
    seed: int
    weights: dict[str, Tensor | None] = field(default_factory=dict)

    def run(self, progress: Progress | None) -> None:
        """Train all epochs, or until the held-back loss has not improved for `patience` epochs."""
        options, network = self.model.preset.training, self.model.network
        per_epoch = math.ceil(len(self.rows) / options.batch_size)
        epochs = max(options.epochs, math.ceil(options.min_steps / per_epoch))
        optimizer = optimisation.optimizer(network, self.model.schema, options)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, optimisation.factor(options, epochs, per_epoch)
        )
        self.weights = losses.class_weights(self.model.schema, options, self.truth, self.rows)
        stopper = _EarlyStopping(options.patience if self.held.size else 0)
        rng = np.random.default_rng(self.seed)
        for epoch in range(1, epochs + 1):
            network.train()
            for chosen in _shuffled(self.rows, options.batch_size, rng):
                optimizer.zero_grad(set_to_none=True)
                self.loss(chosen).backward()
                optimizer.step()
                schedule.step()
            if progress is not None:
                progress("train", epoch, epochs)
            if stopper.patience and stopper.stop(self._held_loss(), network):
                break
        stopper.restore(network)
        self.model.metadata["epochs"] = epoch

    def loss(self, chosen: Array) -> Tensor:
        """Return the loss of some samples; while training, with those of their mixtures."""
        model, options = self.model, self.model.preset.training
        batch = self.inputs.batch(chosen, model.device)
        places = torch.from_numpy(chosen).to(model.device)
        here = {name: values[places] for name, values in self.truth.items()}
        network, blends = model.network, []
        with devices.mixed_precision(model.device, options.amp):
            encoded = network.encode(batch)
            answers = [network.answered(encoded)]
            if options.mixup and network.training:
                blends = mixup.draw(model.schema, options, batch.present)
                answers += [network.answered(mixup.blended(network, encoded, b)) for b in blends]
        parts = [
            losses.of_questions(
                model.schema, options, _plain(one), here, batch.present, self.weights, blend
            )
            for one, blend in zip(answers, [None, *blends], strict=True)
        ]
        return torch.stack(parts).sum()

    @torch.no_grad()
    def _held_loss(self) -> float:
        self.model.network.eval()
        size = max(64, self.model.preset.training.batch_size)
        parts = [self.held[start : start + size] for start in range(0, len(self.held), size)]
        return sum(float(self.loss(part)) * len(part) for part in parts) / len(self.held)


def _plain(answers: list[Answers]) -> list[Answers]:
    """Return logits in full precision, whatever computed them."""
    return [([logits.float() for logits in own], fused.float()) for own, fused in answers]


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
