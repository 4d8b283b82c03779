"""Outputs of a model -> the `result` of a prediction, by the controls of a label config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backend.labelstudio.config import LabelConfig
from backend.labelstudio.controls import Control
from model.schema import Target
from strategies.pool import TargetKind


def prediction_result(
    config: LabelConfig,
    outputs: Mapping[str, np.ndarray[Any, Any]],
    row: int,
    *,
    importable: bool = False,
) -> list[dict[str, Any]]:
    """Build the `result` list of one prediction; class probabilities go into each item's score.

    Which labels of regions occur in a task is no answer to anything: there it is empty.

    Args:
        config: the label config whose controls are answered.
        outputs: target name -> (N, K) probabilities or (N,) values.
        row: which task.
        importable: leave out what Label Studio's import of predictions refuses: the answer of
            Choices with allowNested is a path, and its check (1.23.2) stumbles over lists.
    """
    return [
        _result(target, control, outputs[target.name][row])
        for target in config.schema.targets
        if target.name in outputs
        and not (control := config.controls[target.name]).presence
        and not (importable and control.nested and control.answer == "choices")
    ]


def _result(target: Target, control: Control, output: Any) -> dict[str, Any]:
    item: dict[str, Any] = {
        "from_name": control.name,
        "to_name": control.to_name,
        "type": control.tag.lower(),
    }
    if target.kind is TargetKind.REGRESSION:
        number = float(np.ravel(output)[0])
        if control.answer == "rating":
            return {**item, "value": {"rating": round(min(max(number, 1), target.high or 5))}}
        return {**item, "value": {"number": round(number, 4)}}
    if target.kind is TargetKind.MULTILABEL:
        chosen = [i for i in range(len(target.classes)) if output[i] >= 0.5]
        confidence = float(np.min(np.maximum(output, 1 - output)))
    else:
        chosen = [int(np.argmax(output))]
        confidence = float(np.max(output))
    answer = _answer(control, [target.classes[i] for i in chosen])
    return {**item, "score": round(confidence, 6), "value": {control.answer: answer}}


def _answer(control: Control, names: list[str]) -> Any:
    """Return classes in the shape that the control's results have."""
    if control.answer == "selected":
        return names[0]
    paths = [control.path(name) for name in names]
    if not control.nested:
        return [path[-1] for path in paths]
    # A path stands for what is above it, too.
    above = {path[:end] for path in paths for end in range(1, len(path))}
    return [list(path) for path in paths if path not in above]
