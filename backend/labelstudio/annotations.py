"""Annotation results -> what each annotator says, by the controls of a label config."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.labelstudio.config import LabelConfig
from backend.labelstudio.controls import Control
from model.schema import Target
from strategies.pool import TargetKind

_UNSORTED = "_"
"""Where the editor keeps what is in no bucket of a Ranker."""
Value = str | tuple[str, ...] | float
ACCEPTED = "equipoise_accepted"
"""Key in the `meta` of the results that Equipoise accepted itself: the version that predicted."""


@dataclass(frozen=True)
class Labelled:
    """What annotators say of one task.

    Attributes:
        task: task id.
        values: target name -> one value for every usable annotation; {} where nothing is learned
            from annotations, and only that there is one counts.
        stamp: changes whenever the task's usable annotations change.
        by: target name -> the annotator of each of its values; 0 where that is not said.
    """

    task: int
    values: Mapping[str, tuple[Value, ...]]
    stamp: str
    by: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass
class Answers:
    """What the annotations of a project's tasks say.

    Attributes:
        labelled: tasks that say something about a target.
        annotated: tasks with a usable annotation, understood or not.
        unread: reason -> how many results are not understood for it; they count as unknown.
    """

    labelled: list[Labelled] = field(default_factory=list)
    annotated: int = 0
    unread: Counter[str] = field(default_factory=Counter)

    @property
    def alarm(self) -> str:
        """What a person must know: people annotate, and nothing of it can be learned from."""
        if not self.annotated or self.labelled:
            return ""
        reasons = "; ".join(f"{count} x {reason}" for reason, count in self.unread.most_common(3))
        return (
            f"{self.annotated} tasks are annotated, and none of that is a label of what is learned"
            f" ({reasons or 'no annotation answers it'}): see `equipoise connect` for what is."
        )


def read_tasks(tasks: Iterable[Mapping[str, Any]], config: LabelConfig) -> Answers:
    """Read the annotations of tasks, and count what is not understood."""
    found = Answers()
    for task in tasks:
        usable = _usable(task)
        found.annotated += bool(usable)
        labelled = _labelled(task, usable, config, found.unread)
        if labelled is not None:
            found.labelled.append(labelled)
    return found


def read_task(task: Mapping[str, Any], config: LabelConfig) -> Labelled | None:
    """Read a task's annotations; None when no usable one says anything about a target.

    Skipped (cancelled) annotations, and those that Equipoise accepted unseen, are left out. Where
    ground truth exists only it counts. Where a control takes several labels, an annotation that
    chose none says that none of them applies, unless the control may have been hidden or something
    of the annotation is not understood.
    """
    return _labelled(task, _usable(task), config, Counter())


def _usable(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    annotations = task.get("annotations")
    usable = [
        item
        for item in (_list(annotations) or _list(task.get("completions")))
        if isinstance(item, Mapping)
        and not (item.get("was_cancelled") or item.get("skipped") or is_accepted(item))
    ]
    return [item for item in usable if item.get("ground_truth")] or usable


def is_accepted(annotation: Mapping[str, Any]) -> bool:
    """Tell whether an annotation is a prediction that Equipoise accepted, untouched since.

    Label Studio adds up the seconds that somebody works at an annotation: who has saved it again,
    or called it ground truth, has looked at it, and it is theirs.
    """
    results = annotation.get("result")
    touched = annotation.get("lead_time") or annotation.get("ground_truth")
    return not touched and any(
        isinstance(item, Mapping)
        and isinstance(meta := item.get("meta"), Mapping)
        and ACCEPTED in meta
        for item in (results if isinstance(results, list) else ())
    )


def _labelled(
    task: Mapping[str, Any],
    usable: Sequence[Mapping[str, Any]],
    config: LabelConfig,
    unread: Counter[str],
) -> Labelled | None:
    values: dict[str, list[Value]] = {}
    by: dict[str, list[int]] = {}
    for item in usable:
        for name, value in _said(item.get("result"), config, unread).items():
            values.setdefault(name, []).append(value)
            by.setdefault(name, []).append(_annotator(item))
    covered = bool(usable) and not config.schema.targets
    if not values and not covered:
        return None
    stamp = "|".join(sorted(f"{name}={sorted(map(str, v))}" for name, v in values.items()))
    said = {name: tuple(found) for name, found in values.items()}
    who = {name: tuple(found) for name, found in by.items()}
    return Labelled(int(task["id"]), said, stamp or "annotated", who)


def _annotator(annotation: Mapping[str, Any]) -> int:
    """Return who made an annotation: Label Studio gives an id, or an object that has one."""
    found = annotation.get("completed_by")
    number = found.get("id") if isinstance(found, Mapping) else found
    return number if isinstance(number, int) else 0


def _said(result: Any, config: LabelConfig, unread: Counter[str]) -> dict[str, Value]:
    """Return what one annotation says: target name -> value."""
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


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


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
