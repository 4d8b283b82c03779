"""Is the promised share of errors kept? Replays with a known truth, accepted at several moments.

    python -m experiments.accept --root FOLDER_OF_DATA [--replays 50]

Each replay draws 2,000 tasks anew. Labels are revealed 50 at a time in the order that margin
sampling and the audit make; the learner of `preset = "auto"` is fitted on vectors, and with 500 and
800 labels its predictions are accepted as `equipoise accept` does: by thresholds that are learned
out-of-fold and tested on labels by chance. Printed is how often something could be accepted, how
much of what is unlabelled, and in how many replays more of it was wrong than promised.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from experiments.known import Data, digits, fitted, tweets
from experiments.page import Table, markdown
from model.accepting import cut, sureness
from model.measuring import PARTS
from strategies import STRATEGIES, Pool
from strategies.audit import places, sample, with_drawn
from strategies.pool import BoolArray, FloatArray, IntArray

PROJECT, STEP, SHARE, ERROR = 2000, 50, 0.1, 0.05
MOMENTS = (500, 800)


@dataclass(frozen=True)
class Moment:
    """What could be accepted with so many labels.

    Attributes:
        labels: how many.
        audited: those by chance.
        accuracy: on what is unlabelled.
        share: of what is unlabelled that could be accepted.
        wrong: share of this that is wrong; NaN where nothing could be.
    """

    labels: int
    audited: int
    accuracy: float
    share: float
    wrong: float


def replay(data: Data, seed: int, moments: Sequence[int] = MOMENTS) -> Iterator[Moment]:
    """Label a project and accept what may be at each moment; nothing is taken out of the pool."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(data.x))[:PROJECT]
    data = data.take(rows)
    size = len(rows)
    place, (labelled, drawn) = places(np.arange(size), (seed, 1)), np.zeros((2, size), bool)
    order = rng.permutation(size)
    while labelled.sum() < max(moments):
        order, chosen = with_drawn(order, place, SHARE, 4 * STEP, rng.random())
        drawn[chosen] = True
        labelled[order[:STEP]] = True
        known, free = np.flatnonzero(labelled), np.flatnonzero(~labelled)
        every, (said,) = fitted(data, data.truth, known, [free], seed)
        if len(known) in moments:
            chance = sample(place, labelled, drawn)[known]
            yield _moment(data, known, chance, free, every, said, seed)
        chosen_by = STRATEGIES["margin"](Pool(len(free), probabilities=said), STEP, rng)
        order = free[chosen_by.order]


def _moment(
    data: Data,
    known: IntArray,
    chance: BoolArray,
    free: IntArray,
    every: FloatArray,
    said: FloatArray,
    seed: int,
) -> Moment:
    """Accept as a round does, and compare with the truth."""
    p, judged = every.copy(), np.flatnonzero(chance)
    for start in range(PARTS):
        part = judged[start::PARTS]
        if len(part):
            rest = np.setdiff1d(np.arange(len(known)), part)
            _, (p[part],) = fitted(data, data.truth, known[rest], [known[part]], seed)
    top, guess = p.max(axis=1), p.argmax(axis=1)
    hit = guess == data.truth[known]
    other = np.setdiff1d(np.arange(len(known)), judged)
    scale = sureness(top[other], guess[other], hit[other], p.shape[1])
    found = cut(scale(top[judged], guess[judged]), hit[judged], ERROR)
    right = said.argmax(axis=1) == data.truth[free]
    sure = scale(said.max(axis=1), said.argmax(axis=1))
    taken = sure >= found.sure if found is not None else np.zeros(len(free), bool)
    wrong = float(1 - right[taken].mean()) if taken.any() else float("nan")
    return Moment(len(known), len(judged), float(right.mean()), float(taken.mean()), wrong)


def report(name: str, found: Sequence[Moment]) -> str:
    """Say how often the promise was kept."""
    rows = []
    for labels in sorted({m.labels for m in found}):
        here = [m for m in found if m.labels == labels]
        some = [m for m in here if m.share > 0]
        broken = sum(m.wrong > ERROR for m in some)
        rows.append(
            [
                str(labels),
                f"{np.mean([m.audited for m in here]):.0f}",
                f"{np.mean([m.accuracy for m in here]):.3f}",
                f"{len(some)} of {len(here)}",
                f"{np.mean([m.share for m in some]):.0%}" if some else "",
                f"{np.mean([m.wrong for m in some]):.3f}" if some else "",
                f"{len(here) - broken} of {len(here)} ({1 - broken / len(here):.0%})",
            ]
        )
    names = ("labels", "by chance", "accuracy", "some accepted", "of the pool", "wrong", "kept")
    return f"{name}: accepted at {ERROR:.0%} errors\n\n{markdown(Table(names, rows))}"


def main() -> None:
    """Run the replays and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--root", type=Path, required=True, help="folder of avdigits and mvsa")
    parser.add_argument("--replays", type=int, default=50)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for data in (digits(chosen.root), tweets(chosen.root)):
        found = [m for seed in range(chosen.replays) for m in replay(data, seed)]
        print(report(data.name, found), flush=True)


if __name__ == "__main__":
    main()
