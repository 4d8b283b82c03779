"""Optimizer, parameter groups and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from model.network import Network
from model.options import Training, by_modality
from model.schema import Schema
from strategies.eager import eager

KINDS = {"adamw": eager(torch.optim.AdamW), "adam": eager(torch.optim.Adam)}


def optimizer(network: Network, schema: Schema, training: Training) -> torch.optim.Optimizer:
    """Return AdamW or Adam with parameter groups by each encoder's own rate and decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for modality, encoder in zip(schema.modalities, network.encoders, strict=True):
        rate = by_modality(training.encoder_lr, modality, training.lr)
        decay = by_modality(training.encoder_weight_decay, modality, training.weight_decay)
        for parameter in encoder.parameters():
            own = decay if parameter.ndim > 1 or training.decay_all else 0.0
            groups.setdefault((rate, own), []).append(parameter)
    encoders = {id(p) for encoder in network.encoders for p in encoder.parameters()}
    rest = [p for p in network.parameters() if id(p) not in encoders]
    groups.setdefault((training.lr, training.weight_decay), []).extend(rest)
    fused = all(p.device.type in ("cpu", "cuda") for p in rest)
    listed: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    kind = KINDS[training.optimizer]
    made: torch.optim.Optimizer = kind(listed, lr=training.lr, betas=training.betas, fused=fused)
    return made


def factor(training: Training, epochs: int, per_epoch: int) -> Callable[[int], float]:
    """Return the learning rate's factor by step: linear warm-up, then the schedule."""
    warm = training.warmup * per_epoch
    total = max(1, epochs * per_epoch)

    def at(step: int) -> float:
        start = min(1.0, (step + 1) / warm) if warm else 1.0
        if training.schedule == "cosine":
            return start * 0.5 * (1 + math.cos(math.pi * step / total))
        if training.schedule == "milestones":
            return start * 0.1 ** sum(step >= m * per_epoch for m in training.milestones)
        return start

    return at
