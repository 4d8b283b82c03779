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


def learn(run: Run, inputs: Inputs, labels: Labels, schema: Schema, pool: Inputs) -> Model:
    """Train the project's network; on the CPU where the GPU has too little memory for it.

    Args:
        run: the round.
        inputs: prepared labelled tasks.
        labels: target name -> their labels.
        schema: modalities and targets.
        pool: all prepared tasks, on which vectors are scaled.
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
            pool=pool,
        )

    if run.work.get("on_cpu"):
        return on("cpu")
    try:
        return on(run.settings.device)
    except torch.OutOfMemoryError:
        log.warning("the GPU has too little memory for this network: it is trained on the CPU")
        run.work["on_cpu"] = 1
        return on("cpu")


def measured(
    run: Run, model: Model, known: Inputs, labels: dict[str, Any], config: LabelConfig, pool: Inputs
) -> dict[str, float]:
    """Return what a model's folds have measured, else what a second training measures.

    With fewer than 50 labels either way: {}.
    """
    if model.out_of_fold is None:
        return holdout_metrics(run, known, labels, config, pool)
    found = dict(model.metadata["metrics"])
    enough = found["n"] * HOLDOUT >= MIN_HOLDOUT
    return {"holdout": found["n"], **found} if enough else {}


def holdout_metrics(
    run: Run, known: Inputs, labels: dict[str, Any], config: LabelConfig, pool: Inputs
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
        pool,
    )
    found = evaluate(
        model, known.take(test), {name: values[test] for name, values in labels.items()}
    )
    return {"holdout": float(held), **found}
