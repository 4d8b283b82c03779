"""A round's labels -> a model."""

from __future__ import annotations

import numpy as np
import structlog
import torch

from backend.rounds.context import Run
from model import labels as labelling
from model.labels import Labels
from model.model import Model
from model.preparation import Inputs
from model.schema import Schema
from model.training import train

log = structlog.get_logger(__name__)


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


def question_states(model: Model, labels: Labels, schema: Schema) -> dict[str, float]:
    """Return the labels of each question, and which wait for more; {} with one question."""
    if len(schema.questions) == 1:
        return {}
    counts = {
        f"labels@{q.name}": float(labelling.known(q, np.asarray(labels[q.name])).sum())
        for q in schema.questions
    }
    waiting = model.metadata.get("waiting", [])
    return {**counts, **{f"waiting@{name}": 1.0 for name in waiting}}
