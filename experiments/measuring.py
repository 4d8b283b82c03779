"""What a model does on the test set, per head, and what a batch looks like beside its pool."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from experiments.prepared import Prepared
from model import metrics
from model.coalitions import coalitions_of, mean_contributions
from model.fusion import MOST_MODALITIES
from model.inputs import Inputs
from model.labels import known
from model.look import look
from model.model import Model
from model.schema import Target
from strategies import Pool, Selection
from strategies.criteria import easiness
from strategies.pool import Need, TargetKind
from strategies.shapley import contributions, dominance, modulation_weights

CRITERIA = ("informativeness", "representativeness", "easiness")


def explainable(target: Target, modalities: int) -> bool:
    """Tell whether contributions are defined (BMMAL Eq. 10) and cheap enough."""
    return target.kind is not TargetKind.REGRESSION and modalities <= MOST_MODALITIES


def measure(model: Model, data: Prepared) -> tuple[dict[str, float], dict[str, float]]:
    """Measure a model on the test rows.

    Returns:
        Metrics: those of `model.metrics` as `accuracy`, `accuracy:<modality>`, ...;
        `contribution:<modality>` to the true class (BMMAL's figures 2 and 3; of several labels,
        to what is predicted); `within:<modality>:<class>`, a modality's own accuracy within a
        class; and the multimodal accuracy within each class.
    """
    test, schema = data.inputs.take(data.test), data.schema
    target = schema.multimodal
    outputs = model.predict(test)[target.name]
    truth = np.asarray(data.labels[target.name])[data.test]
    rows = known(target, truth)
    found = metrics.measure(target.kind, outputs[rows], truth[rows], model.ranges.get(target.name))
    for column, (name, alone) in enumerate(model.predict_unimodal(test).items()):
        own = schema.unimodal(name)
        truth_own = np.asarray(data.labels[own.name])[data.test]
        rows_own = known(own, truth_own) & test.present[:, column]
        if rows_own.any():
            one = metrics.measure(
                own.kind, alone[rows_own], truth_own[rows_own], model.ranges.get(own.name)
            )
            found.update({f"{metric}:{name}": value for metric, value in one.items()})
            within = _by_class(own, alone[rows_own], truth_own[rows_own])
            found.update({f"within:{name}:{label}": value for label, value in within.items()})
    if explainable(target, len(schema.names)):
        found.update(_contributions(model, test.take(np.flatnonzero(rows)), truth[rows]))
    return found, _by_class(target, outputs[rows], truth[rows])


def _by_class(target: Target, outputs: npt.NDArray, truth: npt.NDArray) -> dict[str, float]:
    if target.kind is TargetKind.CLASSIFICATION:
        hit = outputs.argmax(axis=1) == truth
        return {
            name: float(hit[truth == index].mean())
            for index, name in enumerate(target.classes)
            if (truth == index).any()
        }
    if target.kind is TargetKind.MULTILABEL:
        hit = (outputs >= 0.5) == (truth >= 0.5)
        return {name: float(hit[:, index].mean()) for index, name in enumerate(target.classes)}
    return {}


def _contributions(model: Model, inputs: Inputs, truth: npt.NDArray) -> dict[str, float]:
    if model.schema.multimodal.kind is TargetKind.CLASSIFICATION:
        values = coalitions_of(model, inputs, truth, model.network.fused)
        return mean_contributions(values, model.schema.names)
    pool = look(model, inputs, frozenset({Need.COALITIONS}))
    assert pool.coalitions is not None
    shares = contributions(pool.coalitions, pool.modalities).mean(axis=0)
    return {f"contribution:{n}": float(v) for n, v in zip(pool.modalities, shares, strict=True)}


def uncertainty(pool: Pool) -> npt.NDArray[np.float64] | None:
    """Return (N,) entropy as a share of the largest possible; None for regression."""
    if pool.probabilities is None or pool.target is TargetKind.REGRESSION:
        return None
    p = np.clip(np.asarray(pool.probabilities, np.float64), 1e-12, 1.0)
    if pool.target is TargetKind.MULTILABEL:
        q = np.clip(1 - p, 1e-12, 1.0)
        return -(p * np.log2(p) + q * np.log2(q)).mean(axis=1)
    return -(p * np.log(p)).sum(axis=1) / np.log(max(2, p.shape[1]))


def describe(
    pool: Pool, selection: Selection, batch: npt.NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return means over the pool and over the batch of what explains a choice.

    `contribution:<m>` and `weight:<m>` (BMMAL Eq. 12 and 14); `dominated:<m>`, the share of tasks
    where another modality contributes more, and `dominated_weight:<m>`, the mean weight there, NaN
    where there is none (BMMAL Fig. 6); `dominance` (Eq. 5); `uncertainty`; the scaled criteria of
    GRACE, easiness times alpha; and `ease`, its easiness unscaled, where the pool has gradients.
    """
    columns: dict[str, npt.NDArray] = {}
    if pool.coalitions is not None:
        shares = contributions(pool.coalitions, pool.modalities)
        weights = modulation_weights(shares)
        columns["dominance"] = dominance(shares)
        for column, name in enumerate(pool.modalities):
            columns[f"contribution:{name}"] = shares[:, column]
            columns[f"weight:{name}"] = weights[:, column]
            below = weights[:, column] < 1
            columns[f"dominated:{name}"] = below
            columns[f"dominated_weight:{name}"] = np.where(below, weights[:, column], np.nan)
    if pool.gradients is not None:
        columns["ease"] = easiness(pool)
    entropy = uncertainty(pool)
    if entropy is not None:
        columns["uncertainty"] = entropy
    columns.update(_criteria(selection.components, selection.notes))
    whole = {name: _mean(values) for name, values in columns.items()}
    return whole, {name: _mean(values[batch]) for name, values in columns.items()}


def _mean(values: npt.NDArray) -> float:
    """Return the mean of what is no NaN; NaN without any."""
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(np.mean(known)) if len(known) else float("nan")


def _criteria(
    components: Mapping[str, npt.NDArray], notes: Mapping[str, str | float | int]
) -> dict[str, npt.NDArray]:
    found = {name: np.asarray(components[name]) for name in CRITERIA if name in components}
    if "informativeness" in found and "representativeness" in found:
        found["worth"] = found["informativeness"] * found["representativeness"]
    if "easiness" in found:
        found["eased"] = float(notes.get("alpha", 1.0)) * found["easiness"]
    return found
