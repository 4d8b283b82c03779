"""How good a model is, measured on labels that chance chose: every figure with its interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from model import labels as labelling
from model import metrics
from model.arrays import Array
from model.intervals import Interval, bootstrap, mean, wilson
from model.schema import Target
from strategies.pool import BoolArray, FloatArray, IntArray, TargetKind

ENOUGH = 20
"""Labels by chance from which on a figure is told at all."""
PARTS = 3
"""Into how many parts they are divided, each answered for by a model that lacks it."""
PER_CLASS = 10
"""Labels by chance per class from which on means over classes are told: of fewer they lie."""
PER_BIN, BINS = 20, 5
"""Labels by chance of each part of a calibration curve, and its parts at most."""
MAIN = {
    TargetKind.CLASSIFICATION: "accuracy",
    TargetKind.MULTILABEL: "exact",
    TargetKind.REGRESSION: "mae",
}
"""The figure that is named first."""


def measure(target: Target, predicted: Array, truth: Array) -> dict[str, Any]:
    """Measure predictions of one question.

    Args:
        target: the question.
        predicted: (n, K) probabilities or (n,) numbers, by models that had not seen these labels.
        truth: the labels, as in `Labels`; samples where it is unknown are left out.

    Returns:
        {} with fewer than `ENOUGH` known ones. Else `n` and value, low and high of: `accuracy`,
        `macro_accuracy` and `f1` (macro), both from `PER_CLASS` labels a class on, and
        `overconfidence` (mean top probability less accuracy)
        and `reliability` for a class: parts of the samples by how sure the model was (`sure`, the
        mean; `right`, the share with its interval; `n`), from `2 * PER_BIN` on; `exact`,
        `accuracy` (per label), `f1` (micro) and `overconfidence` for several;
        `mae` and `corr` for a number. `classes` has for each class that occurs how many samples
        have it (`n`) and the share of them that was found (`found`).
    """
    known = labelling.known(target, truth)
    if known.sum() < ENOUGH:
        return {}
    predicted, truth = np.asarray(predicted)[known], truth[known]
    if target.kind is TargetKind.REGRESSION:
        return {"n": len(truth), **_number(predicted, truth)}
    if target.kind is TargetKind.MULTILABEL:
        return {"n": len(truth), **_several(target, predicted, truth >= 0.5)}
    return {"n": len(truth), **_class(target, predicted, labelling.hard(truth))}


def main(target: Target, predicted: Array, truth: Array) -> dict[str, Any]:
    """Return `n` and the figure that is named first alone; {} with too few known."""
    known = labelling.known(target, truth)
    if known.sum() < ENOUGH:
        return {}
    predicted, truth = np.asarray(predicted)[known], truth[known]
    name = MAIN[target.kind]
    if target.kind is TargetKind.REGRESSION:
        found = mean(np.abs(predicted.astype(np.float64) - truth))
    elif target.kind is TargetKind.MULTILABEL:
        found = wilson(((predicted >= 0.5) == (truth >= 0.5)).all(axis=1))
    else:
        found = wilson(predicted.argmax(axis=1) == labelling.hard(truth))
    return {"n": len(truth), name: _rounded(found)}


def _class(target: Target, p: FloatArray, truth: IntArray) -> dict[str, Any]:
    hit = p.argmax(axis=1) == truth
    return {
        "accuracy": _rounded(wilson(hit)),
        **_over_classes(p, truth),
        "overconfidence": _rounded(mean(p.max(axis=1).astype(np.float64) - hit)),
        **_reliability(p.max(axis=1), hit),
        "classes": {
            name: {"n": int((truth == i).sum()), "found": _rounded(wilson(hit[truth == i]))}
            for i, name in enumerate(target.classes)
            if (truth == i).any()
        },
    }


def _reliability(sure: FloatArray, hit: BoolArray) -> dict[str, list[dict[str, Any]]]:
    count = min(BINS, len(hit) // PER_BIN)
    if count < 2:
        return {}
    parts = np.array_split(np.argsort(sure, kind="stable"), count)
    return {
        "reliability": [
            {
                "n": len(part),
                "sure": round(float(sure[part].mean()), 4),
                "right": _rounded(wilson(hit[part])),
            }
            for part in parts
        ]
    }


def _over_classes(p: FloatArray, truth: IntArray) -> dict[str, list[float]]:
    if len(truth) < PER_CLASS * p.shape[1]:
        return {}
    return {
        "macro_accuracy": _rounded(_again(metrics.macro_accuracy, p, truth)),
        "f1": _rounded(_again(metrics.macro_f1, p, truth)),
    }


def _several(target: Target, p: FloatArray, truth: Array) -> dict[str, Any]:
    hit = (p >= 0.5) == truth
    sure = np.maximum(p, 1 - p).mean(axis=1).astype(np.float64)
    return {
        "exact": _rounded(wilson(hit.all(axis=1))),
        "accuracy": _rounded(mean(hit.mean(axis=1))),
        "f1": _rounded(_again(lambda p, t: metrics.label_sets(p, t)["f1"], p, truth)),
        "overconfidence": _rounded(mean(sure - hit.mean(axis=1))),
        "classes": {
            name: {"n": int(truth[:, i].sum()), "found": _rounded(wilson(hit[truth[:, i], i]))}
            for i, name in enumerate(target.classes)
            if truth[:, i].any()
        },
    }


def _number(predicted: FloatArray, truth: FloatArray) -> dict[str, Any]:
    return {
        "mae": _rounded(mean(np.abs(predicted.astype(np.float64) - truth))),
        "corr": _rounded(_again(metrics.pearson, predicted, truth)),
    }


def _again(measured: Callable[[Array, Array], float], predicted: Array, truth: Array) -> Interval:
    return bootstrap(lambda rows: measured(predicted[rows], truth[rows]), len(truth))


def _rounded(found: Interval) -> list[float]:
    return [round(value, 4) for value in found]
