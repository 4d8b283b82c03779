"""What a round finds out about the labels themselves: which are likely wrong, and who agrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.labelstudio.annotations import Labelled
from backend.rounds.audit import Judged
from backend.store import judgements
from model import annotators
from model.arrays import Array
from model.labels import Labels
from model.model import Model, OutOfFold
from model.schema import Target
from strategies.pool import IntArray, TargetKind

Json = dict[str, Any]


def columns(
    model: Model, judged: Judged, labels: Labels, labelled: Sequence[Labelled]
) -> dict[str, Array]:
    """Return judgements of all labels that some model has not seen, of all questions.

    Those by chance are judged by the models that measure, the others out-of-fold; a network without
    members judges nothing but what measures it.
    """
    tasks = [item.task for item in labelled]
    parts = []
    for question in model.schema.questions:
        rows, predicted = _unseen(model, judged, question, len(tasks))
        part = judgements.rows_of(
            question, tasks, np.asarray(labels[question.name]), predicted, rows
        )
        audit = np.isin(part["task"], np.asarray(tasks, np.int64)[judged.rows])
        parts.append({**part, "audit": audit})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _unseen(model: Model, judged: Judged, question: Target, size: int) -> tuple[IntArray, Array]:
    """Return rows of the labelled tasks, and what models say of them that lack their labels."""
    found: dict[int, Array] = {}
    members = _members(model, question)
    for rows, said in (
        (members.indices, members.predicted) if members is not None else ((), ()),
        (judged.rows, judged.said.get(question.name, ())),
    ):
        found.update(zip(np.asarray(rows).tolist(), said, strict=False))
    order = sorted(found)
    width = max(1, len(question.classes))
    empty = np.zeros((0, width) if question.kind is not TargetKind.REGRESSION else 0)
    return np.asarray(order, np.int64), np.stack([found[r] for r in order]) if order else empty


def _members(model: Model, question: Target) -> OutOfFold | None:
    first = model.out_of_fold
    if first is None or question == model.schema.multimodal:
        return first
    return first.further.get(question.name)


def summary(
    found: dict[str, Array], labelled: Sequence[Labelled], questions: Sequence[Target]
) -> Json:
    """Return what people are told of the labels: how many are suspect, and who agrees.

    Returns:
        `judged` and `suspect` labels; `questions`: question -> `several` (tasks with more than one
        answer), `alpha` (Krippendorff's; None: not known), `classes` (class -> how often a second
        annotator says it, too) and `annotators`: id -> `labels`, `agree` (with others: value, low,
        high; None: not known), `alone` and `suspect` (labels that nobody else gave, and how many of
        these are).
    """
    asked = [q for q in questions if q.kind is not TargetKind.REGRESSION]
    return {
        "judged": len(found["task"]),
        "suspect": int(found["suspect"].sum()),
        "questions": {q.name: _of_question(q.name, found, labelled) for q in asked},
    }


def _of_question(name: str, found: dict[str, Array], labelled: Sequence[Labelled]) -> Json:
    votes = [
        (place, who, _written(value))
        for place, item in enumerate(labelled)
        for who, value in zip(item.by.get(name, ()), item.values.get(name, ()), strict=True)
    ]
    answers = sorted({answer for _, _, answer in votes})
    counts = np.zeros((len(labelled), max(1, len(answers))), np.int64)
    own: dict[int, IntArray] = {}
    for place, who, answer in votes:
        column = answers.index(answer)
        counts[place, column] += 1
        own.setdefault(who, np.full(len(labelled), -1, np.int64))[place] = column
    pairs = annotators.coincidences(counts)
    alpha = annotators.alpha(pairs)
    here = found["question"] == name
    suspects = set(found["task"][here & found["suspect"]].tolist())
    tasks = np.array([item.task for item in labelled])
    doubtful = np.isin(tasks, list(suspects))
    several = counts.sum(axis=1) > 1
    return {
        "several": int(several.sum()),
        "alpha": None if np.isnan(alpha) else round(alpha, 4),
        "classes": {
            answer: round(float(share), 4)
            for answer, share in zip(answers, annotators.of_classes(pairs), strict=False)
            if not np.isnan(share)
        },
        "annotators": {
            str(who): _of_annotator(counts, given, several, doubtful)
            for who, given in sorted(own.items())
        },
    }


def _of_annotator(counts: IntArray, given: IntArray, several: Array, doubtful: Array) -> Json:
    agree = annotators.with_others(counts, given)
    alone = (given >= 0) & ~several
    return {
        "labels": int((given >= 0).sum()),
        "agree": None if agree is None else [round(value, 4) for value in agree],
        "alone": int(alone.sum()),
        "suspect": int((alone & doubtful).sum()),
    }


def _written(value: Any) -> str:
    return value if isinstance(value, str) else "|".join(value)
