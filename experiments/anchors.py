"""What a setting's curves are held against: first batches of several sizes, and all labels."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from experiments.measuring import measure
from experiments.plan import LIVE, RANDOM, Plan
from experiments.replay import data_of, first_rows, trained
from model import metrics
from model.metrics import MAIN_METRIC
from model.untrained import look_untrained
from strategies.pool import TargetKind

FORMER = "former"
"""Folder, inside of a setting's, of the former default's last models."""
SIZES = (20, 50, 100)
"""Labels of a first batch."""
_STRENGTH = 10.0  # of logistic regression, C

Starts = dict[str, list[dict[str, float]]]
"""How the first labels were chosen -> the metrics of the model on `SIZES` of them."""


def missing(folders: Sequence[Path]) -> list[Callable[[], None]]:
    """Return the work that is left, one call each; they may run side by side."""
    work: list[Callable[[], None]] = []
    for folder in folders:
        if not _ceiling(folder).exists():
            work.append(partial(_measure_ceiling, folder))
        if not _whole(folder).exists():
            work.append(partial(_measure_whole, folder))
        for seed in range(Plan.read(folder).seeds):
            if not _starts(folder, seed).exists():
                work.append(partial(_measure_starts, folder, seed))
    return work


def starts(folder: Path, seed: int) -> Starts | None:
    """Return what first batches are worth with a seed; None if it was not measured."""
    place = _starts(folder, seed)
    return json.loads(place.read_text()) if place.exists() else None


def ceiling(folder: Path) -> float | None:
    """Return the main metric of a plain linear model on all labels; None if not measured."""
    place = _ceiling(folder)
    return float(json.loads(place.read_text())["value"]) if place.exists() else None


def whole(folder: Path) -> float | None:
    """Return the main metric of the replay's own learner on all labels; None if not measured."""
    place = _whole(folder)
    return float(json.loads(place.read_text())["value"]) if place.exists() else None


def _measure_starts(folder: Path, seed: int) -> None:
    plan, data = Plan.read(folder), data_of(folder)
    found = {
        how: [
            measure(trained(data, plan, first_rows(data, plan, seed, how, size), seed), data)[0]
            for size in SIZES
        ]
        for how in (RANDOM, LIVE)
    }
    _write(_starts(folder, seed), found)


def _measure_ceiling(folder: Path) -> None:
    """Fit logistic (numbers: ridge) regression to every label there is, on the scaled vectors."""
    plan, data = Plan.read(folder), data_of(folder)
    target = data.schema.multimodal
    found = look_untrained(data.inputs, data.schema, plan.preset.preparation).features
    assert found is not None
    points = np.hstack([x / np.sqrt((x**2).sum(axis=1).mean()) for x in found.values()])
    truth = np.asarray(data.labels[target.name])
    seen, asked, answer = points[data.train], points[data.test], truth[data.test]
    if target.kind is TargetKind.REGRESSION:
        model = Ridge(alpha=1.0).fit(seen, truth[data.train])
        value = float(np.abs(model.predict(asked) - answer).mean())
    else:
        logistic = LogisticRegression(C=_STRENGTH, max_iter=500).fit(seen, truth[data.train])
        value = metrics.macro_accuracy(logistic.predict_proba(asked), answer)
    _write(_ceiling(folder), {"value": value})


def _measure_whole(folder: Path) -> None:
    """Train as the replay does on every label there is, also outside a seed's pool."""
    plan, data = Plan.read(folder), data_of(folder)
    found, _ = measure(trained(data, replace(plan, pool=0), data.train, 0), data)
    _write(_whole(folder), {"value": found[MAIN_METRIC[data.schema.multimodal.kind]]})


def _starts(folder: Path, seed: int) -> Path:
    return folder / "anchors" / f"starts-{seed}.json"


def _ceiling(folder: Path) -> Path:
    return folder / "anchors" / "ceiling.json"


def _whole(folder: Path) -> Path:
    return folder / "anchors" / "whole.json"


def _write(place: Path, values: object) -> None:
    place.parent.mkdir(exist_ok=True)
    beside = place.with_suffix(f".{os.getpid()}.writing")
    beside.write_text(json.dumps(values))
    os.replace(beside, place)
