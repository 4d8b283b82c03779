"""Optimizer, parameter groups and learning-rate schedule of a preset."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from model.network import Network
from model.presets import Preset, by_modality
from model.schema import Schema


def optimizer(network: Network, schema: Schema, preset: Preset) -> torch.optim.Optimizer:
    """Return AdamW or Adam with one parameter group per encoder and one for everything else."""
    groups: list[dict[str, Any]] = []
    for modality, encoder in zip(schema.modalities, network.encoders, strict=True):
        rate = by_modality(preset.encoder_lr, modality, preset.lr)
        decay = by_modality(preset.encoder_weight_decay, modality, preset.weight_decay)
        groups += _groups(encoder, rate, decay)
    own = {id(p) for encoder in network.encoders for p in encoder.parameters()}
    rest = [p for p in network.parameters() if id(p) not in own]
    groups.append({"params": rest, "lr": preset.lr, "weight_decay": preset.weight_decay})
    kind = torch.optim.AdamW if preset.optimizer == "adamw" else torch.optim.Adam
    fused = all(p.device.type in ("cpu", "cuda") for p in rest)
    return kind(groups, lr=preset.lr, betas=preset.betas, fused=fused)


def _groups(encoder: nn.Module, rate: float, decay: float) -> list[dict[str, Any]]:
    """Split an encoder's parameters: biases and norms do not decay."""
    trained = [p for p in encoder.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [
        {"params": matrices, "lr": rate, "weight_decay": decay},
        {"params": vectors, "lr": rate, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def factor(preset: Preset, epochs: int, per_epoch: int) -> Callable[[int], float]:
    """Return the learning rate's factor by step: linear warm-up, then the preset's schedule."""
    warm = preset.warmup * per_epoch
    total = max(1, epochs * per_epoch)

    def at(step: int) -> float:
        start = min(1.0, (step + 1) / warm) if warm else 1.0
        if preset.schedule == "cosine":
            return start * 0.5 * (1 + math.cos(math.pi * step / total))
        if preset.schedule == "milestones":
            return start * 0.1 ** sum(step >= m * per_epoch for m in preset.milestones)
        return start

    return at
