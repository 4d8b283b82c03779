"""A round's labels -> a model, and what may be expected of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import structlog
import torch

from backend.labelstudio.config import LabelConfig
from backend.rounds.context import Run
from model.labels import Labels, hard
from model.model import Model
from model.preparation import Inputs
from model.schema import Schema
from model.training import evaluate, train
from strategies.pool import TargetKind

log = structlog.get_logger(__name__)
HOLDOUT = 0.2
MIN_HOLDOUT = 10


def learn(run: Run, inputs: Inputs, labels: Labels, schema: Schema) -> Model:
    """Train the project's network; on the CPU where the GPU has too little memory for it.

    Args:
        run: the round.
        inputs: prepared labelled tasks.
        labels: target name -> their labels.
        schema: modalities and targets.
    """

    def on(device: str) -> Model:
        return train(
            inputs,
            labels,
            schema,
            run.preset,
            seed=run.options.seed,
            device=device,
            progress=run.progress,
        )

    if run.work.get("on_cpu"):
        return on("cpu")
    try:
        return on(run.settings.device)
    except torch.OutOfMemoryError:
        log.warning("the GPU has too little memory for this network: it is trained on the CPU")
        run.work["on_cpu"] = 1
        return on("cpu")


def holdout_metrics(
    run: Run, known: Inputs, labels: dict[str, Any], config: LabelConfig
) -> dict[str, float]:
    """Train on 80% of the labels, measure on the other 20%; {} with fewer than 50 labels.

    The serving model is trained on all labels, so this is a slightly pessimistic estimate of it.
    """
    held = int(known.size * HOLDOUT)
    if held < MIN_HOLDOUT:
        return {}
    order = np.random.default_rng(run.options.seed).permutation(known.size)
    test, rest = np.sort(order[:held]), np.sort(order[held:])
    target = config.schema.multimodal
    if target.kind is TargetKind.CLASSIFICATION and len(set(hard(labels[target.name][rest]))) < 2:
        return {}
    model = learn(
        run,
        known.take(rest),
        {name: values[rest] for name, values in labels.items()},
        config.schema,
    )
    found = evaluate(
        model, known.take(test), {name: values[test] for name, values in labels.items()}
    )
    return {"holdout": float(held), **found}
