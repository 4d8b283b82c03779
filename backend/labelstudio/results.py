"""One annotation's results -> what it says, by the controls of a label config."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from backend.labelstudio.config import LabelConfig
from backend.labelstudio.controls import Control
from model.schema import Target
from strategies.pool import TargetKind

_UNSORTED = "_"
"""Where the editor keeps what is in no bucket of a Ranker."""
Value = str | tuple[str, ...] | float


def said_by(result: Any, config: LabelConfig, unread: Counter[str]) -> dict[str, Value]:
    """Return what one annotation says.

    Args:
        result: its `result`, as Label Studio sent it.
        config: the label config.
        unread: reason -> how many results are not understood for it; is added to.

    Returns:
        Target name -> value, of those that it answers.
    """
    if not isinstance(result, list):
        return {}
    items = [item for item in result if isinstance(item, Mapping)]
    strange = [item for item in items if _is_strange(item, config)]
    for item in strange:
        unread[f"a result of {item.get('from_name')!r}, which is no control now"] += 1
    found: dict[str, Value] = {}
    for target in config.schema.targets:
        control = config.controls[target.name]
        before = unread.total()
        value = _value(items, target, control, unread)
        clear = not strange and unread.total() == before and not control.conditional
        if value is None and target.kind is TargetKind.MULTILABEL and clear:
            value = ()
        if value is not None:
            found[target.name] = value
    return found


def _is_strange(item: Mapping[str, Any], config: LabelConfig) -> bool:
    name = item.get("from_name")
    return name is not None and name not in config.names and not _from_repeater(name, config)


def _from_repeater(name: Any, config: LabelConfig) -> bool:
    """Tell whether a control of a Repeater may be called so: its name holds the item's number."""
    patterns = [known for known in config.names if "{{" in known]
    return any(
        str(name).startswith(known.partition("{{")[0])
        and str(name).endswith(known.rpartition("}}")[2])
        for known in patterns
    )


def _number(raw: Any) -> float | None:
    """Read a number, also from a text; what is none, or has no finite value, says nothing."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        number = float(raw)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _value(
    items: Sequence[Mapping[str, Any]], target: Target, control: Control, unread: Counter[str]
) -> Value | None:
    """Return what an annotation says about one target; None: nothing that is understood."""
    answers = [_answer(item, control) for item in items if _answers(item, control)]
    if not answers:
        return None
    if target.kind is TargetKind.REGRESSION:
        return _one_number(answers, target, unread)
    chosen: list[str] = []
    strange = 0
    for answer in answers:
        if answer is None and control.presence:
            continue  # a region without a label
        for part in _parts(answer):
            names = control.classes(part)
            if not names:
                strange += 1
                unread[f"{target.name!r} answered with {_short(part)}"] += 1
            chosen += names
    if strange:
        return None  # the rest is no whole answer: what was meant may be any other class
    said = tuple(dict.fromkeys(chosen))
    if target.kind is TargetKind.MULTILABEL:
        return said
    one = control.one(said)
    if said and one is None:
        unread[f"{target.name!r} answered with several classes"] += 1
    return one


def _one_number(answers: Sequence[Any], target: Target, unread: Counter[str]) -> float | None:
    """Return the number that is said, once and in the control's range."""
    found = [_number(answer) for answer in answers]
    low = -math.inf if target.low is None else target.low
    high = math.inf if target.high is None else target.high
    strange = [
        answer
        for answer, number in zip(answers, found, strict=True)
        if number is None or not low <= number <= high
    ]
    for answer in strange:
        unread[f"{target.name!r} answered with {_short(answer)}"] += 1
    if strange:
        return None
    if len(set(found)) > 1:
        unread[f"{target.name!r} answered with several numbers"] += 1
        return None
    return found[0]


def _answers(item: Mapping[str, Any], control: Control) -> bool:
    if item.get("from_name") == control.name:
        return True
    # A region that is drawn with another tag carries the labels itself.
    value = item.get("value")
    return (
        control.presence
        and item.get("type") in ("videorectangle", "rectangle", "polygon", "ellipse", "brush")
        and item.get("to_name") == control.to_name
        and isinstance(value, Mapping)
        and control.answer in value
    )


def _answer(item: Mapping[str, Any], control: Control) -> Any:
    value = item.get("value")
    if not isinstance(value, Mapping):
        return None
    if control.presence and control.answer not in value:
        return value.get(str(item.get("type")))  # named after the tag that draws
    found = value.get(control.answer)
    if control.answer == "ranker" and isinstance(found, Mapping):
        return [bucket for bucket, inside in found.items() if inside and bucket != _UNSORTED]
    return found


def _parts(answer: Any) -> list[Any]:
    """Return single answers: a text, or a path of texts."""
    return answer if isinstance(answer, list) else [answer]


def _short(value: Any) -> str:
    return repr(value)[:60]
