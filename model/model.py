"""A trained network with everything needed to use it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays import Array, Float32Array
from model.inputs import Batch, Inputs
from model.network import Network
from model.presets import Preset
from model.schema import Schema, Target
from strategies.pool import HeldOut, IntArray, TargetKind

logger = logging.getLogger(__name__)

_FEWEST, _MOST = 16, 1024
_VALUES_TOGETHER = 2**21


@dataclass(frozen=True)
class OutOfFold:
    """What members say about labels that they have not seen.

    Attributes:
        indices: (n,) samples, as rows of the inputs that were trained on.
        fold: (n,) the member that left a sample out.
        predicted: (n, K) calibrated probabilities of the multimodal target, or (n,) numbers.
        alone: modality -> the same of its own head; meaningless where the modality is absent.
        further: other question -> the same of it, on the tasks that have a label of it.
    """

    indices: IntArray
    fold: IntArray
    predicted: Array
    alone: Mapping[str, Array]
    further: Mapping[str, OutOfFold] = field(default_factory=dict)


@dataclass
class Model:
    """A trained network.

    Attributes:
        schema: modalities and targets it was trained for.
        preset: how it was built and trained.
        network: the weights.
        shapes: modality -> shape of its prepared arrays; () where no training sample had it.
        fingerprints: modality -> fingerprint of the encoder that prepared them.
        ranges: regression target -> (low, high).
        metadata: library versions, metrics, seed, n_labels.
        device: where it computes.
        out_of_fold: just after training on prepared vectors; a checkpoint does not keep it.
        held_out: question with classes -> the same beside the labels, which a checkpoint keeps.
    """

    schema: Schema
    preset: Preset
    network: Network
    shapes: dict[str, tuple[int, ...]]
    fingerprints: dict[str, str]
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    out_of_fold: OutOfFold | None = None
    held_out: dict[str, HeldOut] = field(default_factory=dict)

    @torch.no_grad()
    def predict(self, inputs: Inputs) -> dict[str, Float32Array]:
        """Predict every target.

        Returns:
            target name -> (N, K) probabilities, or (N,) values for regression. Questions about the
            whole task by their fused heads, a modality's own target by its own head.
        """
        own = [t for t in self.schema.targets if t.modality is not None]
        collected: dict[str, list[Tensor]] = {target.name: [] for target in self.schema.targets}
        for _, batch in self.stream(inputs):
            answers = self.network.answer(batch)
            for question, (_, fused) in zip(self.schema.questions, answers, strict=True):
                collected[question.name].append(self.activate(question, fused))
            for target in own:
                logits = answers[0][0][self.schema.names.index(str(target.modality))]
                collected[target.name].append(self.activate(target, logits))
        return {
            target.name: self._joined(target, collected[target.name])
            for target in self.schema.targets
        }

    @torch.no_grad()
    def predict_unimodal(self, inputs: Inputs) -> dict[str, Float32Array]:
        """Predict the first question with each modality alone.

        Returns:
            modality -> (N, K) probabilities or (N,) values; of its own target where it has one.
        """
        names = self.schema.names
        collected: dict[str, list[Tensor]] = {name: [] for name in names}
        for _, batch in self.stream(inputs):
            for name, logits in zip(names, self.network(batch)[0], strict=True):
                collected[name].append(self.activate(self.schema.unimodal(name), logits))
        return {name: self._joined(self.schema.unimodal(name), collected[name]) for name in names}

    def stream(self, inputs: Inputs) -> Iterator[tuple[slice, Batch]]:
        """Stream batches to a network in evaluation mode, larger ones for smaller arrays."""
        self.network.eval()
        values = sum(math.prod(shape) for shape in self.shapes.values())
        size = min(max(_VALUES_TOGETHER // max(values, 1), _FEWEST), _MOST)
        return self.fitting(inputs).batches(size, self.device)

    def activate(self, target: Target, logits: Tensor) -> Tensor:
        """Turn logits (B, K) into probabilities (B, K), or values (B, 1) for regression."""
        if target.kind is TargetKind.CLASSIFICATION:
            return logits.float().softmax(dim=1)
        if target.kind is TargetKind.MULTILABEL:
            return logits.float().sigmoid()
        low, high = self.ranges[target.name]
        return (low + high) / 2 + logits.float() * (high - low) / 2

    def fitting(self, inputs: Inputs) -> Inputs:
        """Return inputs this network can read; a modality of another shape counts as absent.

        Raises:
            ValueError: the inputs were prepared for another schema or by other encoders.
        """
        names = self.schema.names
        if len(inputs.columns) != len(names):
            raise ValueError(
                f"inputs have {len(inputs.columns)} modalities, the model has {len(names)}: "
                "prepare them with the model's schema"
            )
        absent: dict[int, tuple[int, ...]] = {}
        for place, (name, column) in enumerate(zip(names, inputs.columns, strict=True)):
            if column.fingerprint != self.fingerprints[name]:
                raise ValueError(
                    f"modality {name!r} was prepared by {column.fingerprint!r}, the model was "
                    f"trained on {self.fingerprints[name]!r}: prepare with the model's preset"
                )
            expected = self.shapes[name]
            if column.shape != expected:
                absent[place] = expected
            if column.shape and expected and column.shape != expected:
                logger.warning(
                    "modality ignored name=%s shape=%s expected=%s", name, column.shape, expected
                )
        return inputs.without(absent) if absent else inputs

    def _joined(self, target: Target, parts: list[Tensor]) -> Float32Array:
        if not parts:
            joined = np.empty((0, max(1, len(target.classes))), np.float32)
        else:
            joined = torch.cat(parts).cpu().numpy()
        return joined[:, 0] if target.kind is TargetKind.REGRESSION else joined
