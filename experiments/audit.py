"""Is the truth in the intervals that audit tasks give? Replays with a known truth.

    python -m experiments.audit --data FOLDER_OF_AVDIGITS [--replays 200]

Each replay splits the digits anew: 2,000 form a project, whose labels are revealed 20 at a time in
the order that margin sampling and the audit make, and 1,000 tell the truth. After every 20 labels
the learner of `preset = "auto"` is fitted and measured three ways: on the audit tasks; on all labels
out-of-fold, as Equipoise 0.1 did; and, with audit_share 0, to see what the audit costs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from experiments.page import Table, markdown
from experiments.sets import avdigits
from model.intervals import LEVEL
from model.measuring import measure
from model.schema import Target
from model.vectors.folds import divide
from model.vectors.heads import fit_head
from strategies import STRATEGIES, Pool, TargetKind
from strategies.audit import places, sample, with_drawn
from strategies.pool import FloatArray, IntArray

PROJECT, STEP, PUBLISHED, WIDTH = 2000, 20, 200, 24
TARGET = Target("digit", TargetKind.CLASSIFICATION, tuple("0123456789"))
FIGURES = ("accuracy", "macro_accuracy", "f1")
BANDS = ((20, 29), (30, 49), (50, 10_000))


@dataclass(frozen=True)
class Moment:
    """One model of a replay.

    Attributes:
        share: the audit_share.
        labels: it was fitted on.
        truth: its figures on digits outside of the project.
        today: out-of-fold accuracy on all labels.
        audited: labels by chance.
        found: figure -> value, low, high; {} while there are too few.
    """

    share: float
    labels: int
    truth: dict[str, float]
    today: float
    audited: int
    found: dict[str, list[float]]


def vectors(folder: Path, noise: float) -> tuple[FloatArray, IntArray]:
    """Return (N, 48) digits, picture and sound side by side, and their classes."""
    data = avdigits.read(folder, {})
    columns = []
    rng = np.random.default_rng(1)
    for name in ("image", "audio"):
        raw = np.stack([np.load(_file(one[name])) for one in data.samples]).astype(np.float64)
        centred = raw - raw.mean(axis=0)
        left, size, _ = np.linalg.svd(centred, full_matrices=False)
        part = left[:, :WIDTH] * size[:WIDTH]
        part /= np.sqrt(np.square(part).sum(axis=1).mean())
        columns.append(part + noise * rng.normal(size=part.shape) / np.sqrt(WIDTH))
    return np.concatenate(columns, axis=1).astype(np.float32), np.asarray(data.labels["digit"])


def _file(value: object) -> object:
    import io

    return io.BytesIO(value.load())  # type: ignore[attr-defined]


def replay(x: FloatArray, truth: IntArray, share: float, most: int, seed: int) -> Iterator[Moment]:
    """Label a project to the end and measure every model on the way."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(x))
    ours, others = rows[:PROJECT], rows[PROJECT:]
    x, truth, outside = x[ours], truth[ours], (x[others], truth[others])
    place = places(np.arange(PROJECT), (seed, 1))
    labelled, drawn = np.zeros((2, PROJECT), dtype=bool)
    order = rng.permutation(PROJECT)
    while labelled.sum() < most:
        order, chosen = with_drawn(order, place, share, PUBLISHED, rng.random())
        drawn[chosen] = True
        labelled[order[:STEP]] = True
        known, free = np.flatnonzero(labelled), np.flatnonzero(~labelled)
        folds = divide(TARGET, truth[known], seed)
        if not folds.count:
            order = free[rng.permutation(len(free))]
            continue
        every, said = _said(x[known], truth[known], folds, [x[free], outside[0]])
        audit = sample(place, labelled, drawn)[known]
        found = measure(TARGET, every[audit], truth[known][audit])
        yield Moment(
            share,
            len(known),
            _figures(said[1], outside[1]),
            float((every.argmax(axis=1) == truth[known]).mean()),
            int(audit.sum()),
            {name: found[name] for name in FIGURES if found},
        )
        order = free[STRATEGIES["margin"](Pool(len(free), probabilities=said[0]), STEP, rng).order]


def _said(
    x: FloatArray, truth: IntArray, folds: object, others: list[FloatArray]
) -> tuple[FloatArray, list[FloatArray]]:
    """Return out-of-fold probabilities of labelled rows, and the served head's of others."""
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(truth), 10).float()
    values = torch.from_numpy(x)
    head = fit_head(
        TARGET.kind,
        values,
        one_hot,
        np.ones(len(x), bool),
        folds,  # type: ignore[arg-type]
        torch.ones(len(x)),
    )
    served = [head.linear(torch.from_numpy(each))[-1].softmax(dim=1).numpy() for each in others]
    return head.logits.softmax(dim=1).numpy(), served


def _figures(probabilities: FloatArray, truth: IntArray) -> dict[str, float]:
    from model import metrics

    return {name: metrics.classes(probabilities, truth)[name] for name in FIGURES}


def one(x: FloatArray, truth: IntArray, most: int, seed: int) -> list[Moment]:
    """Replay one split with the default share, with 0 and with .3."""
    torch.set_num_threads(1)
    return [each for share in (0.1, 0.0) for each in replay(x, truth, share, most, seed)]


def report(found: list[Moment]) -> str:
    """Say how often the intervals held the truth, and what measuring cost."""
    parts = [_coverage(found, share) for share in (0.1, 0.3)]
    return "\n\n".join([*parts, _errors(found), _cost(found)])


def _coverage(found: list[Moment], share: float) -> str:
    rows = []
    for low, high in BANDS:
        here = [m for m in found if m.share == share and m.found and low <= m.audited <= high]
        if not here:
            continue
        row = [f"{low} to {high}" if high < 10_000 else f"{low} and more", str(len(here))]
        for name in FIGURES:
            inside = np.mean([m.found[name][1] <= m.truth[name] <= m.found[name][2] for m in here])
            width = np.mean([m.found[name][2] - m.found[name][1] for m in here]) / 2
            bias = np.mean([m.found[name][0] - m.truth[name] for m in here])
            row.append(f"{100 * inside:.0f}% (± {width:.3f}; error {bias:+.3f})")
        rows.append(row)
    table = Table(["audit labels", "models", *FIGURES], rows)
    return (
        f"audit_share {share}: how often the {100 * LEVEL:.0f}% interval held the truth "
        f"(half its width; mean error of the value)\n\n{markdown(table)}"
    )


def _errors(found: list[Moment]) -> str:
    here = [m for m in found if m.share == 0.1 and m.found]
    old = np.array([m.today - m.truth["accuracy"] for m in here])
    new = np.array([m.found["accuracy"][0] - m.truth["accuracy"] for m in here])
    return (
        f"The same {len(here)} models: out-of-fold accuracy on all labels is {old.mean():+.3f} off "
        f"on average, on audit tasks {new.mean():+.3f}."
    )


def _cost(found: list[Moment]) -> str:
    rows = []
    for labels in (100, 200, 300, 400):
        row = [str(labels)]
        for share in (0.0, 0.1, 0.3):
            here = [
                m.truth["accuracy"] for m in found if m.share == share and m.labels == labels
            ]
            if here:
                error = np.std(here, ddof=1) / np.sqrt(len(here)) if len(here) > 1 else 0.0
                row.append(f"{np.mean(here):.4f} ± {error:.4f}")
        rows.append(row)
    return "Accuracy by audit_share (mean ± standard error)\n\n" + markdown(
        Table(["labels", "0", "0.1", "0.3"], [row for row in rows if len(row) == 4])
    )


def main() -> None:
    """Run the replays and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder of avdigits_features.npz")
    parser.add_argument("--replays", type=int, default=200)
    parser.add_argument("--labels", type=int, default=400)
    parser.add_argument("--noise", type=float, default=0.8, help="that makes the digits harder")
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    x, truth = vectors(chosen.data, chosen.noise)
    work = partial(one, x, truth, chosen.labels)
    if chosen.processes > 1:
        with ProcessPoolExecutor(chosen.processes) as pool:
            found = [m for each in pool.map(work, range(chosen.replays)) for m in each]
    else:
        found = [m for seed in range(chosen.replays) for m in work(seed)]
    print(report(found))


if __name__ == "__main__":
    main()
