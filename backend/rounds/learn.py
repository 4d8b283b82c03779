"""A round's labels -> a model, and what may be expected of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import structlog
import torch

from backend.rounds.context import Run
from model import labels as labelling
from model.labels import Labels
from model.model import Model
from model.preparation import Inputs
from model.schema import Schema
from model.training import evaluate, train

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
    run: Run, model: Model, known: Inputs, labels: dict[str, Any], schema: Schema, pool: Inputs
) -> dict[str, float]:
    """Return what a model's folds have measured, else what a second training measures.

    With fewer than 50 labels either way: {}. Plain names are the first question's, and others say
    `@NAME`; with several questions, `labels@NAME` and `waiting@NAME` tell how far each is.
    """
    states = question_states(model, labels, schema)
    if model.out_of_fold is None:
        return {**holdout_metrics(run, known, labels, schema, pool), **states}
    found = dict(model.metadata["metrics"])
    if found["n"] * HOLDOUT < MIN_HOLDOUT:
        return states
    return {**_named({"holdout": found["n"], **found}, model.schema, schema), **states}


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


def _named(found: dict[str, float], learned: Schema, asked: Schema) -> dict[str, float]:
    """Name metrics by the question that is asked first, which may not be learned yet."""
    first = learned.multimodal.name
    if first == asked.multimodal.name:
        return found
    plain = ("holdout", "contribution:")
    return {
        key if "@" in key or key.startswith(plain) else f"{key}@{first}": value
        for key, value in found.items()
    }


def holdout_metrics(
    run: Run, known: Inputs, labels: dict[str, Any], schema: Schema, pool: Inputs
) -> dict[str, float]:
    """Train on 80% of the labels, measure on the other 20%; {} with fewer than 50 labels.

    The serving model is trained on all labels, so this is a slightly pessimistic estimate of it.
    """
    held = int(known.size * HOLDOUT)
    if held < MIN_HOLDOUT:
        return {}
    order = np.random.default_rng(run.options.seed).permutation(known.size)
    test, rest = np.sort(order[:held]), np.sort(order[held:])
    measurable = [
        question
        for question in schema.questions
        if labelling.enough(question, labels[question.name][rest])
        and labelling.known(question, labels[question.name][test]).any()
    ]
    if not measurable:
        return {}
    model = learn(
        run,
        known.take(rest),
        {name: values[rest] for name, values in labels.items()},
        schema,
        pool,
    )
    found = evaluate(
        model, known.take(test), {name: values[test] for name, values in labels.items()}
    )
    return _named({"holdout": float(held), **found}, model.schema, schema)
