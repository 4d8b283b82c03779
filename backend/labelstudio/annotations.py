"""Tasks with annotations -> what each annotator says of which task, and what nobody understands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.labelstudio.config import LabelConfig
from backend.labelstudio.results import Value, said_by

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


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _labelled(
    task: Mapping[str, Any],
    usable: Sequence[Mapping[str, Any]],
    config: LabelConfig,
    unread: Counter[str],
) -> Labelled | None:
    values: dict[str, list[Value]] = {}
    by: dict[str, list[int]] = {}
    for item in usable:
        for name, value in said_by(item.get("result"), config, unread).items():
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
