"""What a round reads of Label Studio: config, tasks, labels, the pool, and who was skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.errors import EquipoiseError
from backend.labelstudio.annotations import Labelled, is_accepted, read_tasks
from backend.labelstudio.client import COUNTS, LabelStudio
from backend.labelstudio.config import LabelConfig, parse
from backend.labelstudio.in_step import bring_in_step, nothing
from backend.store.mirror import Mirror
from backend.store.mirrored import Tasks
from model.schema import Target
from strategies.pool import TargetKind


class NotEnoughLabels(EquipoiseError):
    """There is too little to train on yet."""


@dataclass(frozen=True)
class Fetched:
    """What Label Studio holds now.

    Attributes:
        config: its label config, parsed.
        tasks: task id -> task with its data, which are read when they are needed.
        labelled: what annotations say, for tasks with a usable one.
        pool: ids of the tasks that may be labelled.
        label_config: the config as it stands.
        unread: results that were not understood, by reason.
        skipped: tasks of the pool that every annotator who saw them has skipped.
        accepted: tasks whose prediction was accepted unseen: neither labelled nor in the pool.
        outside: tasks that do not meet the project's conditions -> why (conditions.py).
    """

    config: LabelConfig
    tasks: Tasks
    labelled: list[Labelled]
    pool: list[int]
    label_config: str
    unread: Mapping[str, int]
    skipped: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    outside: Mapping[int, str] = field(default_factory=dict)


def fetch(
    studio: LabelStudio, mirror: Mirror, project: int, between: Callable[[], None] = nothing
) -> Fetched:
    """Read config, tasks and annotations: what has changed of Label Studio, the rest of the mirror.

    A task is labelled when a usable annotation says something about a target; it is in the pool
    when it is not, and Label Studio still wants annotations for it. What Equipoise accepted itself
    is neither: it must not teach the model what the model said.

    Args:
        studio: Label Studio.
        mirror: what is kept of the project's tasks.
        project: project id.
        between: called after each page that is read.
    """
    remote = studio.project(project, "label_config", *COUNTS)
    text = remote["label_config"]
    config = parse(text)
    bring_in_step(studio, mirror, project, remote=remote, between=between)
    seen: set[int] = set()
    accepted: set[int] = set()

    def noted() -> Iterator[dict[str, Any]]:
        for task in mirror.annotated():
            if all(said.get("was_cancelled") for said in task["annotations"]):
                seen.add(int(task["id"]))
            if any(is_accepted(said) for said in task["annotations"]):
                accepted.add(int(task["id"]))
            yield task

    answers = read_tasks(noted(), config)
    tasks = Tasks(mirror)
    known = {item.task for item in answers.labelled}
    accepted = (accepted & tasks.keys()) - known  # a person's answer counts before ours
    return Fetched(
        config,
        tasks,
        [item for item in answers.labelled if item.task in tasks],
        [t for t in mirror.ids(only_open=True) if t not in known and t not in accepted],
        text,
        answers.unread,
        frozenset(seen),
        frozenset(accepted),
    )


def check_labels(fetched: Fetched) -> None:
    """Raise NotEnoughLabels where no question can be learned yet."""
    questions = fetched.config.schema.questions
    missing = [_missing(question, fetched.labelled) for question in questions]
    if all(missing):
        raise NotEnoughLabels(" ".join(missing))


def _missing(question: Target, labelled: Sequence[Labelled]) -> str:
    """Say what a question lacks to be learned; "" if nothing."""
    said = [value for item in labelled for value in item.values.get(question.name, ())]
    if not said:
        return f"No task is labelled with {question.name!r} yet."
    kinds = Counter(value for value in said if isinstance(value, str))
    if question.kind is TargetKind.CLASSIFICATION and len(kinds) < 2:
        return (
            f"All labels of {question.name!r} are {next(iter(kinds))!r}; label at least one task "
            "with another class."
        )
    return ""
