"""Tasks that chance chooses, in a round: served among the others, and what is measured on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backend.queue.acceptable import key
from backend.rounds.context import Run
from backend.rounds.fetch import Fetched
from backend.rounds.learn import learn
from model import labels as labelling
from model import measuring
from model.arrays import Array
from model.inputs import Inputs
from model.intervals import LEVEL
from model.labels import hard
from model.measuring import ENOUGH, PARTS
from model.model import Model
from model.schema import Target
from strategies import Selection, TargetKind
from strategies.audit import places, sample, with_drawn
from strategies.pool import BoolArray, IntArray

_MOST_HELD = 0.2
"""Share of the labels that a training may miss."""


def serve(run: Run, fetched: Fetched, selection: Selection, strategy: str) -> tuple[Selection, Any]:
    """Put tasks that chance chooses among those that the strategy did.

    Returns:
        The ranking to serve, and the pool's rows (d,) that were drawn.
    """
    share = 1.0 if strategy == "random" else run.options.audit_share
    if not fetched.config.schema.targets or not run.options.audit_share:
        return selection, np.zeros(0, np.int64)
    # Those that were skipped or put off stay at the end: they are no part of what can be measured.
    left = [*fetched.skipped, *fetched.outside]
    asked = ~np.isin(np.asarray(fetched.pool)[selection.order], left)
    start = np.random.default_rng([run.options.seed, run.round.id]).random()
    order, drawn = with_drawn(
        selection.order[asked],
        places(fetched.pool, key(run.options, run.project)),
        share,
        run.options.published,
        start,
    )
    return replace(selection, order=np.concatenate([order, selection.order[~asked]])), drawn


@dataclass(frozen=True)
class Judged:
    """What models say of labels by chance that they had not seen.

    Attributes:
        chance: (n,) which labelled tasks chance chose.
        rows: (a,) those of them that are judged, as rows of the labelled tasks; none while there
            are too few.
        said: question -> (a, K) or (a,).
        alone: modality -> the same of its own head.
        apart: what is to choose the tasks that are labelled next; None: the model itself.
    """

    chance: BoolArray
    rows: IntArray
    said: Mapping[str, Array]
    alone: Mapping[str, Array]
    apart: Apart | None = None


@dataclass(frozen=True)
class Apart:
    """A model that has learned from no label that chance chose.

    What it finds worth labelling does not depend on these. A model that had learned from them would
    avoid their neighbours, and one that lacks them would be wrong there more often than elsewhere:
    in 200 replays of digits 90% intervals held the truth in 85% (`experiments.audit`).

    Attributes:
        model: it.
        rows: (n,) which labelled tasks it has learned from.
    """

    model: Model
    rows: BoolArray


def judge(
    run: Run,
    model: Model,
    known: Inputs,
    labels: Mapping[str, Array],
    fetched: Fetched,
    all_: Inputs,
) -> Judged:
    """Let models judge the labels that chance chose.

    They are predicted by a model that lacks them, and nothing else: the members of a learner lack a
    fifth of all labels, which in an order made by a strategy costs .02 to .03 of accuracy. Where
    they are few of the labels that model lacks them all, and chooses what is labelled next, too. A
    network that starts from nothing is trained once more only where that measures something.
    """
    chance, apart = audited(run, fetched), None
    if model.out_of_fold is not None or chance.sum() >= ENOUGH:
        apart = _apart(run, model, known, labels, fetched, all_, chance)
    if chance.sum() < ENOUGH:
        return Judged(chance, np.zeros(0, np.int64), {}, {}, apart)
    if apart is None:
        return Judged(chance, *_predictions(run, model, known, labels, all_, chance))
    of = np.flatnonzero(chance)
    those = known.take(of)
    said, alone = apart.model.predict(those), apart.model.predict_unimodal(those)
    return Judged(chance, of, said, alone, apart)


def _apart(
    run: Run,
    model: Model,
    known: Inputs,
    labels: Mapping[str, Array],
    fetched: Fetched,
    all_: Inputs,
    chance: BoolArray,
) -> Apart | None:
    """Learn without what chance chose; None where that is nothing, or too much to do without."""
    drawn = run.store.drawn(run.project)
    without = chance | np.array([item.task in drawn for item in fetched.labelled], bool)
    rest = np.flatnonzero(~without)
    enough = all(labelling.enough(q, labels[q.name][rest]) for q in model.schema.questions)
    if not without.any() or without.mean() > _MOST_HELD or not enough:
        return None
    try:
        other = learn(run, known.take(rest), _of(labels, rest), model.schema, all_)
    except labelling.NotEnoughLabels:  # nothing of the others can be read
        return None
    return Apart(other, ~without)


def measured(
    judged: Judged, model: Model, known: Inputs, labels: Mapping[str, Array], fetched: Fetched
) -> dict[str, Any]:
    """Measure a model on the labels that chance chose.

    Returns:
        `audited`, how many labels by chance there are; `needed`, how many it takes; `level` of the
        intervals; `questions` and `modalities`: name -> what `model.measuring` says, left out
        while there are too few; `counts`: question -> class -> labelled tasks.
    """
    schema = fetched.config.schema
    found: dict[str, Any] = {
        "audited": int(judged.chance.sum()),
        "needed": ENOUGH,
        "level": LEVEL,
        "questions": {},
        "modalities": {},
        "counts": {q.name: _counts(q, labels[q.name]) for q in schema.questions},
    }
    of, said, alone = judged.rows, judged.said, judged.alone
    for question in model.schema.questions:
        truth = labels[question.name][of]
        if question.name in said and (
            told := measuring.measure(question, said[question.name], truth)
        ):
            found["questions"][question.name] = {"kind": question.kind.value, **told}
    for column, name in enumerate(model.schema.names):
        own, here = model.schema.unimodal(name), known.present[of, column]
        truth = labels[own.name][of][here]
        if name in alone and (told := measuring.main(own, alone[name][here], truth)):
            found["modalities"][name] = told
    return found


def audited(run: Run, fetched: Fetched) -> BoolArray:
    """Return which labelled tasks (n,) are a uniform sample of those that may be served."""
    inside = np.array([item.task not in fetched.outside for item in fetched.labelled], bool)
    labelled = [item.task for item in fetched.labelled if item.task not in fetched.outside]
    free = [t for t in fetched.pool if t not in fetched.skipped and t not in fetched.outside]
    # Those accepted unseen are tasks of the project, too, and nobody has looked at them.
    accepted = [task for task in fetched.accepted if task not in fetched.outside]
    tasks = np.asarray([*labelled, *free, *accepted], np.int64)
    done = np.arange(len(tasks)) < len(labelled)
    drawn = np.isin(tasks, list(run.store.drawn(run.project)))
    place = places(tasks, key(run.options, run.project))
    inside[inside] = sample(place, done, drawn)[: len(labelled)]
    return inside


def _predictions(
    run: Run,
    model: Model,
    known: Inputs,
    labels: Mapping[str, Array],
    all_: Inputs,
    rows: BoolArray,
) -> tuple[IntArray, dict[str, Array], dict[str, Array]]:
    """Return measured rows, and what models say of them that lack them: in all, and by modality.

    Learners on vectors are fitted `PARTS` times for that, networks trained once more.
    """
    vectors = model.out_of_fold is not None
    of = np.flatnonzero(rows) if vectors else _held(run, rows)
    # Every third, not one third after the other: labels may lie in order of their classes.
    parts = [of[start::PARTS] for start in range(PARTS)] if vectors else [of]
    rests = [np.setdiff1d(np.arange(known.size), part) for part in parts]
    able = all(
        labelling.enough(q, labels[q.name][rest]) for q in model.schema.questions for rest in rests
    )
    if not len(of) or not able:
        return of[:0], {}, {}
    said, alone = [], []
    for part, rest in zip(parts, rests, strict=True):
        other = learn(run, known.take(rest), _of(labels, rest), model.schema, all_)
        said.append(other.predict(known.take(part)))
        alone.append(other.predict_unimodal(known.take(part)))
    return np.concatenate(parts), _joined(said), _joined(alone)


def _joined(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Return what all parts have; a part may have had too few labels of a question."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _held(run: Run, rows: BoolArray) -> IntArray:
    """Return the labels that the second training leaves out: by chance, and not too many."""
    found = np.flatnonzero(rows)
    most = int(len(rows) * _MOST_HELD)
    if len(found) > most:
        found = np.random.default_rng(run.options.seed).permutation(found)[:most]
    return np.sort(found) if len(found) >= ENOUGH else found[:0]


def _of(labels: Mapping[str, Array], rows: IntArray) -> dict[str, Array]:
    return {name: values[rows] for name, values in labels.items()}


def _counts(target: Target, values: Array) -> dict[str, int]:
    if target.kind is TargetKind.REGRESSION:
        return {}
    if target.kind is TargetKind.MULTILABEL:
        sums = (np.nan_to_num(values) >= 0.5).sum(axis=0)
    else:
        answers = np.nan_to_num(values, nan=0.0)
        known = values.sum(axis=1) > 0 if values.ndim == 2 else values >= 0
        sums = np.bincount(hard(answers)[known], minlength=len(target.classes))
    return {name: int(count) for name, count in zip(target.classes, sums, strict=True)}
