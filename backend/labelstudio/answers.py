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
        importable: answer as Label Studio's import of predictions wants it.
    """
    found = [
        (control, _result(target, control, outputs[target.name][row]))
        for target in config.schema.targets
        if target.name in outputs and not (control := config.controls[target.name]).presence
    ]
    if not importable:
        return [item for _, item in found]
    return [item for control, item in found if _is_importable(control, item)]


def _is_importable(control: Control, item: dict[str, Any]) -> bool:
    """Make an answer pass the check of Label Studio's import, and tell whether it does.

    Nested Choices answer with paths, as the editor reads and stores them; the check (1.23.2) wants
    texts, but looks for them below the control's name first. So they stand there for the check, and
    the editor, which knows nothing of that, reads the paths.
    """
    if not (control.nested and control.answer == "choices"):
        return True
    if control.name == control.answer:
        return False
    paths = item["value"][control.answer]
    item["value"][control.name] = {control.answer: [path[-1] for path in paths]}
    return True


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
    if control.answer == "choices":
        return [list(path) for path in control.ticked(names)]
    # A path stands for what is above it, too.
    above = {path[:end] for path in paths for end in range(1, len(path))}
    return [list(path) for path in paths if path not in above]
