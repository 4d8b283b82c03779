"""Orders on frozen vectors with a linear learner: what `auto` and the first batch rest on.

python -m experiments.frozen --root DATA [--sets ...] [--strategies ...] [--labels 20,40,80]
    [--first live] [--seeds 6]

The learner is logistic regression (numbers: ridge regression) on standardised vectors, so that a
minute shows what a replay with networks shows in hours. One line per order: the metric with so many
labels, and its lead on the first order named, mean over the labels and standard error over seeds.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

from experiments.plan import LIVE, Contender
from experiments.sets import named
from experiments.statistics import standard_error
from model import metrics
from model.cache import FeatureCache
from model.preparation import prepare
from model.presets import preset
from model.untrained import look_untrained
from strategies import STRATEGIES, HeldOut, Pool, Selection, TargetKind, cold_start
from strategies.shapley import all_coalitions

FOLDS = 5
PASSES = 8
_SETS = (
    "avdigits:features=simple,avdigits:features=simple+split=speakers,mvsa:features=simple,"
    "mosi:target=class"
)
STRENGTH = 10.0  # of logistic regression, C
Matrix = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Vectors:
    """A data set as vectors, each modality of mean square length 1, and what is to be learned."""

    name: str
    kind: TargetKind
    features: dict[str, Matrix]
    truth: npt.NDArray[Any]
    train: Rows
    test: Rows

    def joined(self, rows: Rows) -> Matrix:
        return np.hstack([values[rows] for values in self.features.values()])


def vectors(spec: str, root: Path) -> Vectors:
    """Read a named set and standardise its prepared arrays."""
    data = named(spec, root)
    chosen = preset("quick").preparation
    with TemporaryDirectory() as folder:
        inputs = prepare(data.samples, data.schema, chosen, FeatureCache(Path(folder)))
        pool = look_untrained(inputs, data.schema, chosen)
    assert pool.features is not None
    features = {
        name: values / np.sqrt((values**2).sum(axis=1).mean())
        for name, values in pool.features.items()
    }
    target = data.schema.multimodal
    truth = np.asarray(data.labels[target.name])
    return Vectors(data.name, target.kind, features, truth, data.train, data.test)


class Learner:
    """A linear model of the joined vectors."""

    def __init__(self, data: Vectors, rows: Rows) -> None:
        self._numbers = data.kind is TargetKind.REGRESSION
        self._width = 1 if self._numbers else int(data.truth.max()) + 1
        truth = data.truth[rows]
        self._alone = None if self._numbers or len(set(truth)) > 1 else int(truth[0])
        logistic = LogisticRegression(C=STRENGTH, max_iter=200)
        self._model: Any = Ridge(alpha=1.0) if self._numbers else logistic
        if self._alone is None:
            self._model.fit(data.joined(rows), truth)

    def predict(self, points: Matrix) -> Matrix:
        """Return (N, K) probabilities, or (N, 1) numbers."""
        if self._numbers:
            return np.asarray(self._model.predict(points), np.float32)[:, None]
        found = np.zeros((len(points), self._width), np.float32)
        if self._alone is not None:
            found[:, self._alone] = 1
        else:
            found[:, self._model.classes_] = self._model.predict_proba(points)
        return found


def score(data: Vectors, learner: Learner) -> float:
    """Return the main metric on the test rows, larger is better."""
    found, truth = learner.predict(data.joined(data.test)), data.truth[data.test]
    if data.kind is TargetKind.REGRESSION:
        return -float(np.abs(found[:, 0] - truth).mean())
    return metrics.macro_accuracy(found, truth)


def look(data: Vectors, rest: Rows, done: Rows, learner: Learner, seed: int) -> Pool:
    """Return everything that a strategy may read of the rest."""
    names, points = tuple(data.features), data.joined(rest)
    kept = {name: values[rest] for name, values in data.features.items()}
    found, coalitions, held_out, passes = learner.predict(points), None, None, None
    rng = np.random.default_rng(seed)
    if data.kind is TargetKind.REGRESSION:
        draws = [done[rng.integers(len(done), size=len(done))] for _ in range(PASSES)]
        passes = np.stack([Learner(data, rows).predict(points) for rows in draws])
    else:
        guess = found.argmax(axis=1)
        coalitions = {
            group: learner.predict(np.hstack([kept[n] * (n in group) for n in names]))[
                np.arange(len(rest)), guess
            ]
            for group in all_coalitions(names)
        }
        held_out = _held_out(data, done, seed)
    return Pool(
        size=len(rest),
        modalities=names,
        target=data.kind,
        probabilities=found,
        features=kept,
        coalitions=coalitions,
        labelled_features={name: values[done] for name, values in data.features.items()},
        held_out=held_out,
        mc_probabilities=passes,
        labelled_count=len(done),
    )


def _held_out(data: Vectors, done: Rows, seed: int) -> HeldOut:
    found = np.zeros((len(done), int(data.truth.max()) + 1), np.float32)
    for seen, unseen in KFold(FOLDS, shuffle=True, random_state=seed).split(done):
        found[unseen] = Learner(data, done[seen]).predict(data.joined(done[unseen]))
    return HeldOut(found, data.truth[done])


def curve(data: Vectors, order: Contender, first: str, labels: list[int], seed: int) -> list[float]:
    """Label by an order and return the metric with each number of labels."""
    rows = np.random.default_rng([seed, 0]).permutation(data.train)[: int(0.8 * len(data.train))]
    kept = {name: values[rows] for name, values in data.features.items()}
    pool = Pool(size=len(rows), modalities=tuple(kept), target=data.kind, features=kept)
    initial = cold_start(pool) if first == LIVE else STRATEGIES[first]
    done = _take(rows, initial(pool, labels[0], np.random.default_rng([seed, 1])), labels[0])
    learner = Learner(data, done)
    found = [score(data, learner)]
    for before, after in pairwise(labels):
        rest = np.setdiff1d(rows, done)
        pool = look(data, rest, done, learner, seed)
        rng = np.random.default_rng([seed, after])
        selection = order.strategy(pool, after - before, rng, **order.options)
        done = np.concatenate([done, _take(rest, selection, after - before)])
        learner = Learner(data, done)
        found.append(score(data, learner))
    return found


def _take(rows: Rows, selection: Selection, count: int) -> Rows:
    return rows[selection.order[:count]]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Orders on frozen vectors with a linear learner.")
    parser.add_argument("--root", type=Path, required=True, help="folder of the named sets")
    parser.add_argument("--sets", default=_SETS)
    parser.add_argument("--strategies", default="random,margin,dbal,badge,bmmal,max_herding,auto")
    parser.add_argument("--labels", default="20,40,80,120,200,300,400")
    parser.add_argument("--first", default=LIVE, help="comma-separated: what chooses the first")
    parser.add_argument("--seeds", type=int, default=6)
    said = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    labels = [int(part) for part in said.labels.split(",")]
    for spec in said.sets.split(","):
        data, base = vectors(spec, said.root), None
        print(
            f"{data.name}: {metrics.MAIN_METRIC[data.kind]} with {said.labels} labels", flush=True
        )
        for first in said.first.split(","):
            for text in said.strategies.split(","):
                order = Contender.read(text)
                grid = np.array([curve(data, order, first, labels, s) for s in range(said.seeds)])
                base = grid if base is None else base
                print(_line(f"{first} {text}", grid, grid - base), flush=True)


def _line(name: str, grid: npt.NDArray[np.float64], lead: npt.NDArray[np.float64]) -> str:
    values = " ".join(f"{value:.3f}" for value in grid.mean(axis=0))
    error = float(standard_error(lead.mean(axis=1)))
    return f"  {name:<28} {values}   {100 * lead.mean():+.1f} ± {100 * error:.1f}"


if __name__ == "__main__":
    main()
