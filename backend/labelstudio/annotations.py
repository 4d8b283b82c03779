"""Annotation results <-> label arrays and predictions, by the controls of a label config."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.labelstudio.config import Control, LabelConfig
from model.schema import Target
from strategies.pool import TargetKind

Value = str | tuple[str, ...] | float


@dataclass(frozen=True)
class Labelled:
    """What annotators say of one task.

    Attributes:
        task: task id.
        values: target name -> one value for every usable annotation.
        stamp: changes whenever the task's usable annotations change.
    """

    task: int
    values: Mapping[str, tuple[Value, ...]]
    stamp: str


def read_task(task: Mapping[str, Any], config: LabelConfig) -> Labelled | None:
    """Read a task's annotations; None when no usable one says anything about a target.

    Skipped (cancelled) annotations are left out. Where ground truth exists only it counts. Where a
    control takes several labels, an annotation that chose none says that none of them applies.
    """
    usable = [
        item
        for item in _list(task.get("annotations"))
        if isinstance(item, Mapping) and not item.get("was_cancelled")
    ]
    truth = [item for item in usable if item.get("ground_truth")]
    values: dict[str, list[Value]] = {}
    for item in truth or usable:
        for name, value in _said(item.get("result"), config).items():
            values.setdefault(name, []).append(value)
    if not values:
        return None
    stamp = "|".join(sorted(f"{name}={sorted(map(str, v))}" for name, v in values.items()))
    return Labelled(int(task["id"]), {k: tuple(v) for k, v in values.items()}, stamp)


def _said(result: Any, config: LabelConfig) -> dict[str, Value]:
    """Return what one annotation says: target name -> value."""
    found: dict[str, Value] = {}
    for target in config.schema.targets:
        value = _value(result, target, config.controls[target.name])
        if value is None and target.kind is TargetKind.MULTILABEL and isinstance(result, list):
            value = ()
        if value is not None:
            found[target.name] = value
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(raw: Any) -> float | None:
    """Read a number; what is none, or has no finite value, says nothing."""
    try:
        number = float(raw) if isinstance(raw, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _value(result: Any, target: Target, control: Control) -> Value | None:
    for item in _list(result):
        if not isinstance(item, Mapping) or item.get("from_name") != control.name:
            continue
        value = item.get("value")
        if not isinstance(value, Mapping):
            continue
        raw = value.get(control.tag.lower())
        if target.kind is TargetKind.REGRESSION:
            return _number(raw)
        chosen = tuple(c for c in _list(raw) if c in target.classes)
        if target.kind is TargetKind.MULTILABEL:
            return chosen
        return chosen[0] if chosen else None
    return None


def label_arrays(
    labelled: Sequence[Labelled], targets: Iterable[Target], *, soft: bool = False
) -> dict[str, np.ndarray[Any, Any]]:
    """Turn labels into arrays: majority vote for classes, mean for numbers.

    Args:
        labelled: N tasks.
        targets: what to read of them.
        soft: keep what annotators disagree about: the share of votes per class or label.

    Returns:
        target name -> (N,) int64 class indices (-1: not said), (N, K) 0/1 for multilabel, or
        (N,) floats for regression (NaN: not said); with `soft`, (N, K) shares for both kinds of
        classes (a row of NaN: not said).
    """
    return {
        t.name: _column([item.values.get(t.name, ()) for item in labelled], t, soft)
        for t in targets
    }


def _column(votes: Sequence[tuple[Value, ...]], target: Target, soft: bool) -> np.ndarray[Any, Any]:
    index = {name: i for i, name in enumerate(target.classes)}
    if target.kind is TargetKind.REGRESSION:
        return np.array([_mean(v) for v in votes], dtype=np.float64)
    if target.kind is TargetKind.MULTILABEL:
        shares = _shares(votes, index)
        return shares if soft else (shares >= 0.5).astype(np.float64)
    if soft:
        return _shares(votes, index)
    # Ties go to the class that was said first, so a repeated round sees the same label.
    return np.array(
        [index[Counter(v).most_common(1)[0][0]] if v else -1 for v in votes],  # type: ignore[index]
        dtype=np.int64,
    )


def _shares(votes: Sequence[tuple[Value, ...]], index: Mapping[str, int]) -> np.ndarray[Any, Any]:
    """Return the share of annotations that chose each class: (N, K), NaN where there is none."""
    counts = np.zeros((len(votes), len(index)))
    for row, vote in enumerate(votes):
        for chosen in vote:
            for name in (chosen,) if isinstance(chosen, str) else chosen:  # type: ignore[union-attr]
                counts[row, index[str(name)]] += 1
    total = np.array([[float(len(vote))] for vote in votes]).reshape(-1, 1)
    shares: np.ndarray[Any, Any] = np.divide(
        counts, total, out=np.full_like(counts, np.nan), where=total > 0
    )
    return shares


def _mean(vote: tuple[Value, ...]) -> float:
    numbers = [value for value in vote if isinstance(value, float)]
    return sum(numbers) / len(numbers) if numbers else float("nan")


def prediction_result(
    config: LabelConfig, outputs: Mapping[str, np.ndarray[Any, Any]], row: int
) -> list[dict[str, Any]]:
    """Build the `result` list of one prediction; class probabilities go into each item's score.

    Args:
        config: the label config whose controls are answered.
        outputs: target name -> (N, K) probabilities or (N,) values.
        row: which task.
    """
    return [
        _result(target, config.controls[target.name], outputs[target.name][row])
        for target in config.schema.targets
        if target.name in outputs
    ]


def _result(target: Target, control: Control, output: Any) -> dict[str, Any]:
    item: dict[str, Any] = {
        "from_name": control.name,
        "to_name": control.to_name,
        "type": control.tag.lower(),
    }
    if target.kind is TargetKind.REGRESSION:
        number = float(np.ravel(output)[0])
        if control.tag == "Rating":
            return {**item, "value": {"rating": round(min(max(number, 1), target.high or 5))}}
        return {**item, "value": {"number": round(number, 4)}}
    if target.kind is TargetKind.MULTILABEL:
        chosen = [i for i in range(len(target.classes)) if output[i] >= 0.5]
        confidence = float(np.min(np.maximum(output, 1 - output)))
    else:
        chosen = [int(np.argmax(output))]
        confidence = float(np.max(output))
    names = [target.classes[i] for i in chosen]
    return {**item, "score": round(confidence, 6), "value": {"choices": names}}
