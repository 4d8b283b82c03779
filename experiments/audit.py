"""Is the truth in the intervals that audit tasks give? Replays with a known truth.

    python -m experiments.audit --root FOLDER_OF_DATA [--replays 200] [--data mvsa]

Each replay splits the tasks anew: 2,000 form a project, whose labels are revealed 20 at a time in
the order that margin sampling and the audit make, and the others tell the truth. After every 20
labels the learner of `preset = "auto"` is fitted and measured on the audit tasks, and on all labels
out-of-fold, as Equipoise 0.1 did. With audit_share 0 it is seen what the audit costs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.alarms import TOLERANCE
from experiments.known import NOISE, Data, digits, fitted, tweets
from experiments.page import Table, markdown
from experiments.statistics import standard_error
from model import metrics
from model.intervals import LEVEL
from model.measuring import ENOUGH, PARTS, measure
from model.stopping import Step, compare, hint
from model.vectors.folds import divide
from strategies import STRATEGIES, Pool
from strategies.audit import places, sample, with_drawn
from strategies.pool import IntArray

PROJECT, STEP, PUBLISHED = 2000, 20, 200
MEASURED = 100
"""Every so many labels the model is measured."""
BANDS = ((20, 29), (30, 39), (40, 10_000))


@dataclass(frozen=True)
class Moment:
    """One model of a replay.

    Attributes:
        share: the audit_share.
        labels: it was fitted on.
        truth: its accuracy on tasks outside of the project.
        today: out-of-fold accuracy on all labels.
        audited: labels by chance.
        found: accuracy on them, low, high; () while there are too few.
        step: how it compares with the model before.
    """

    share: float
    labels: int
    truth: float
    today: float
    audited: int
    found: tuple[float, ...]
    step: Step | None = None


def replay(
    data: Data, share: float, most: int, seed: int, *, together: bool = False
) -> Iterator[Moment]:
    """Label a project to the end and measure every model on the way.

    Args:
        data: all tasks.
        share: the audit_share.
        most: labels.
        seed: of the split and the order.
        together: let the model that has learned from all labels choose what is labelled next, and
            measure it by three that lack a third of the labels by chance each.
    """
    rng = np.random.default_rng(seed)
    data = data.take(rng.permutation(len(data.x)))
    outside = np.arange(PROJECT, len(data.x))
    place = places(np.arange(PROJECT), (seed, 1))
    labelled, drawn = np.zeros((2, PROJECT), dtype=bool)
    order, before = rng.permutation(PROJECT), np.full(PROJECT, -1)
    while labelled.sum() < most:
        order, chosen = with_drawn(order, place, share, PUBLISHED, rng.random())
        drawn[chosen] = True
        labelled[order[:STEP]] = True
        known, free = np.flatnonzero(labelled), np.flatnonzero(~labelled)
        if not divide(data.target, data.truth[known], seed).count:
            order = free[rng.permutation(len(free))]
            continue
        every, said = fitted(data, data.truth, known, [free, outside], seed)
        audit = known[sample(place, labelled, drawn)[known]]
        told = share > 0 and len(audit) >= ENOUGH and len(known) % MEASURED == 0
        found: dict[str, Any] = {}
        rest = np.setdiff1d(known[~drawn[known]], audit)
        chooser = said[0]
        if (
            together
            or len(rest) == len(known)
            or not divide(data.target, data.truth[rest], 0).count
        ):
            found = _measured(data, known, audit, seed) if told else {}
        else:  # as `backend.rounds.audit.Apart` does
            _, (chooser, judged) = fitted(data, data.truth, rest, [free, audit], seed)
            found = measure(data.target, judged, data.truth[audit]) if told else {}
        step, said_now = None, said[0].argmax(axis=1)
        if (before >= 0).any():
            step = Step(len(known), *compare(data.target.kind, before[free], said_now))
        before[free] = said_now
        yield Moment(
            share,
            len(known),
            metrics.accuracy(said[1], data.truth[outside]),
            float((every.argmax(axis=1) == data.truth[known]).mean()),
            len(audit),
            tuple(found.get("accuracy", ())),
            step,
        )
        order = free[STRATEGIES["margin"](Pool(len(free), probabilities=chooser), STEP, rng).order]


def _measured(data: Data, known: IntArray, audit: IntArray, seed: int) -> dict[str, Any]:
    """Measure on audit tasks, by models that lack a part of these alone."""
    said = []
    for part in np.array_split(audit, PARTS):
        _, (found,) = fitted(data, data.truth, np.setdiff1d(known, part), [part], seed)
        said.append(found)
    return measure(data.target, np.concatenate(said), data.truth[audit])


def one(data: Data, most: int, together: bool, seed: int) -> list[Moment]:
    """Replay one split with the default share and with none."""
    torch.set_num_threads(1)
    shares = (0.1, 0.0)
    return [m for share in shares for m in replay(data, share, most, seed, together=together)]


def report(found: list[Moment]) -> str:
    """Say how often the intervals held the truth, and what measuring cost."""
    return "\n\n".join([_coverage(found), _cost(found), _alarms(found)])


def _coverage(found: list[Moment]) -> str:
    rows = []
    audited = [m for m in found if m.found]
    for low, high in (*BANDS, (0, 10_000)):
        here = [m for m in audited if low <= m.audited <= high]
        if not here:
            continue
        value, bottom, top = np.array([m.found for m in here]).T
        truth, today = np.array([(m.truth, m.today) for m in here]).T
        inside = (bottom <= truth) & (truth <= top)
        name = "all" if not low else f"{low} to {high}" if high < 10_000 else f"{low} and more"
        cells = (f"{100 * inside.mean():.0f}%", f"{np.mean(top - bottom) / 2:.3f}")
        errors = (f"{np.mean(value - truth):+.3f}", f"{np.mean(today - truth):+.3f}")
        rows.append([name, str(len(here)), *cells, *errors])
    names = ("audit labels", "models", "held", "half its width", "error", "error of all labels")
    return (
        f"How often the {100 * LEVEL:.0f}% interval of the accuracy held the truth; mean error of "
        f"the value, and of out-of-fold accuracy on all labels\n\n{markdown(Table(names, rows))}"
    )


def _cost(found: list[Moment]) -> str:
    rows = []
    for labels in sorted({m.labels for m in found if m.labels % 100 == 0}):
        row = [str(labels)]
        for share in (0.0, 0.1):
            here = [m.truth for m in found if m.share == share and m.labels == labels]
            error = float(standard_error(np.array(here)))
            row.append(f"{np.mean(here):.4f} ± {error:.4f}" if here else "")
        rows.append(row)
    return "Accuracy by audit_share (mean ± standard error)\n\n" + markdown(
        Table(["labels", "0", "0.1"], rows)
    )


def _alarms(found: list[Moment]) -> str:
    """Count hints to stop after which the mean curve still rose by more than a point."""
    ours = [m for m in found if m.share == 0.1]
    sizes = {m.labels for m in ours}
    curve = {n: float(np.mean([m.truth for m in ours if m.labels == n])) for n in sizes}
    counts = {True: [0, 0], False: [0, 0]}
    steps: list[Step] = []
    for m in ours:
        steps = [*steps, m.step] if m.step is not None else []  # the first model of a replay: []
        left = [value for labels, value in curve.items() if labels > m.labels]
        said = hint(steps)
        if said is None or not left or not said.flattened:
            continue
        for asked in (True, False) if m.audited >= ENOUGH else (False,):
            counts[asked][0] += 1
            counts[asked][1] += int(max(left) - curve[m.labels] > TOLERANCE)
    told = [
        f"{wrong} of {given} wrong {how}"
        for how, (given, wrong) in (
            ("by agreement alone", counts[False]),
            ("where the accuracy is known, too", counts[True]),
        )
    ]
    return f"Hints that the curve is flat: {'; '.join(told)}."


def main() -> None:
    """Run the replays and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--root", type=Path, required=True, help="folder of avdigits and mvsa")
    parser.add_argument("--data", choices=("avdigits", "mvsa"), default="avdigits")
    parser.add_argument("--replays", type=int, default=200)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--noise", type=float, default=NOISE, help="that makes digits harder")
    parser.add_argument(
        "--together", action="store_true", help="a model with the labels by chance chooses"
    )
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    avdigits = chosen.data == "avdigits"
    data = digits(chosen.root, chosen.noise) if avdigits else tweets(chosen.root)
    work = partial(one, data, chosen.labels, chosen.together)
    seeds = range(chosen.replays)
    if chosen.processes > 1:
        with ProcessPoolExecutor(chosen.processes) as pool:
            found = [m for each in pool.map(work, seeds) for m in each]
    else:
        found = [m for seed in seeds for m in work(seed)]
    print(report(found))


if __name__ == "__main__":
    main()
