"""Which predictions may be accepted unseen: from labels by chance, and the ranking in force.

The promise is about all tasks of the project that are as sure, not about one batch of them. Some
are kept apart whatever the model says of them: those that chance will draw next. So the model can
go on being measured, and what measures it stays a sample of the whole project.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from backend.labelstudio.config import LabelConfig
from backend.options import ProjectSettings
from backend.store.rankings import numbers
from model.accepting import Cut, Sureness, cut, needed, sureness
from model.arrays import Array
from model.intervals import LEVEL
from model.schema import Target
from strategies.audit import places
from strategies.pool import BoolArray, TargetKind

ERROR = 0.05
"""The share of wrong ones that is told without being asked."""
SMALLEST, LARGEST = 0.001, 0.5
"""What may be asked for instead."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Offer:
    """What may be accepted.

    Attributes:
        error: share of wrong ones among what is accepted.
        pool: tasks that were ranked.
        answers: task -> class, the surest first.
        reason: why there are none; "" if there are some.
        probability: class -> from where on its predictions are accepted.
        labels: labels by chance that are as sure.
        wrong: how many of these the model got wrong.
        version: of the round whose predictions they are.
    """

    error: float
    pool: int
    answers: dict[int, str] = field(default_factory=dict)
    reason: str = ""
    probability: dict[str, float] = field(default_factory=dict)
    labels: int = 0
    wrong: int = 0
    version: str = ""

    @property
    def sentence(self) -> str:
        """What may be accepted, for people."""
        if self.reason:
            return self.reason
        right = f"{100 * (1 - self.error):.4g}%"
        return (
            f"at {right} correct, {len(self.answers):,} of {self.pool:,} tasks could be accepted "
            f"(with {LEVEL:.0%} confidence; of {self.labels} labels by chance that are as sure, "
            f"{self.wrong} were predicted wrong)"
        )

    def to_json(self) -> Json:
        """Return plain values, without the tasks."""
        counts = Counter(self.answers.values())
        return {
            "error": self.error,
            "level": LEVEL,
            "tasks": len(self.answers),
            "pool": self.pool,
            "labels": self.labels,
            "wrong": self.wrong,
            "classes": {
                name: {"from": round(p, 4), "tasks": counts[name]}
                for name, p in self.probability.items()
            },
            "sentence": self.sentence,
        }


def key(options: ProjectSettings, project: int) -> tuple[int, int]:
    """Return what decides the random order of a project's tasks."""
    return options.seed, project


def unfit(config: LabelConfig) -> str:
    """Say why nothing of a project can be accepted; "" where something can."""
    targets = config.schema.targets
    if len(targets) != 1:
        return (
            f"only answers to a single question can be accepted; this project asks {len(targets)}"
        )
    if targets[0].kind is not TargetKind.CLASSIFICATION:
        return "answers that are one class can be accepted; here they are something else"
    return ""


def offer(
    judged: pa.Table | None,
    ranking: pa.Table,
    config: LabelConfig,
    options: ProjectSettings,
    project: int,
    *,
    error: float = ERROR,
    audited: int = 0,
    left_out: Collection[int] = (),
) -> Offer:
    """Find what may be accepted.

    Args:
        judged: what models say of labels that they had not seen; None: nothing.
        ranking: what is predicted of the pool.
        config: the label config.
        options: the project's settings.
        project: its id.
        error: the share of wrong ones that is allowed, in (0, 1).
        audited: labels of tasks that chance chose; while there are few, none of them is judged.
        left_out: tasks that people have skipped, or labelled since.
    """
    pool = ranking.num_rows
    if why := unfit(config):
        return Offer(error, pool, reason=why)
    chance = judged.filter(judged.column("audit")).num_rows if judged is not None else 0
    if judged is None or chance < needed(error):
        have = max(chance, audited)
        few = f"{have} of at least {needed(error)} labels of tasks that chance chose"
        unjudged = f", of which the round could judge {chance}" if audited >= needed(error) else ""
        return Offer(error, pool, reason=f"not known yet: {few}{unjudged}")
    question = config.schema.multimodal
    scale, found = _rule(judged, question, error)
    if found is None:
        share = f"{100 * error:.4g}%"
        unsure = f"too many of the surest of {chance} labels by chance are wrong to promise {share}"
        return Offer(error, pool, reason=f"none yet: {unsure}")
    answers = _answers(ranking, question, scale, found, _apart(ranking, options, project), left_out)
    probability = dict(zip(question.classes, scale.probability(found.sure).tolist(), strict=True))
    return Offer(error, pool, answers, "", probability, found.labels, found.wrong)


def _rule(judged: pa.Table, question: Target, error: float) -> tuple[Sureness, Cut | None]:
    """Learn how sure predictions are from labels that strategies chose; test on the others."""
    p, predicted = _predicted(judged, question, "likely")
    hit, chance = (numbers(judged.column(name)) for name in ("hit", "audit"))
    scale = sureness(p[~chance], predicted[~chance], hit[~chance], len(question.classes))
    return scale, cut(scale(p[chance], predicted[chance]), hit[chance], error)


def _predicted(table: pa.Table, question: Target, column: str) -> tuple[Array, Array]:
    """Return (n,) probabilities and (n,) classes that are predicted."""
    index = {name: place for place, name in enumerate(question.classes)}
    classes = [index[name] for name in table.column(column).to_pylist()]
    return numbers(table.column("probability")), np.asarray(classes, np.int64)


def _apart(ranking: pa.Table, options: ProjectSettings, project: int) -> BoolArray:
    """Return which tasks chance will draw next: the first `audit_share` of its order."""
    place = places(numbers(ranking.column("task")), key(options, project))
    count = int(np.ceil(options.audit_share * len(place)))
    found = np.zeros(len(place), bool)
    found[np.argsort(place, kind="stable")[:count]] = True
    return found


def _answers(
    ranking: pa.Table,
    question: Target,
    scale: Sureness,
    found: Cut,
    apart: BoolArray,
    left_out: Collection[int],
) -> dict[int, str]:
    sure = scale(*_predicted(ranking, question, "predicted"))
    tasks = numbers(ranking.column("task"))
    free = (sure >= found.sure) & ~apart & ~np.isin(tasks, list(left_out))
    rows = np.flatnonzero(free)[np.argsort(-sure[free], kind="stable")]
    names = ranking.column("predicted").to_pylist()
    return {int(tasks[row]): names[row] for row in rows}
