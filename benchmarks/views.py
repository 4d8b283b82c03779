"""What each view of a prepared vector tells a logistic regression of random labels.

python -m benchmarks.views DATA [--cache FOLDER] [--draws 10] [--only avdigits|mvsa]

DATA holds avdigits/avdigits_raw.tar.gz and mvsa/mvsa_raw96.tar.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression

from experiments.sets.archive import Row, reference, unpacked
from model.arrays import Array
from model.cache import FeatureCache
from model.encoders import View, columns, encoder_for, measured
from model.preparation import prepare
from model.presets import preset
from model.sample import Sample
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

REDUCED = 128
Data = tuple[list[Sample], Array, Array, Array]
"""Samples, classes (N,), rows that may be labelled, rows that measure."""


def avdigits(folder: Path) -> Data:
    """Handwritten and spoken digits, the official split of the recordings."""
    rows, files = unpacked(folder / "avdigits" / "avdigits_raw.tar.gz", "avdigits/")
    samples: list[Sample] = [
        {"image": reference(files, row["png"]), "audio": reference(files, row["wav"])}
        for row in rows
    ]
    return samples, *_labels(rows, "fsdd_official", "official_")


def mvsa(folder: Path) -> Data:
    """Tweets of a text and a picture."""
    rows, files = unpacked(folder / "mvsa" / "mvsa_raw96.tar", "mvsa/")
    samples: list[Sample] = [
        {"image": reference(files, row["image"]), "text": row["text"]} for row in rows
    ]
    return samples, *_labels(rows, "split", "")


SETS: dict[str, tuple[Callable[[Path], Data], tuple[str, ...], tuple[int, ...], list[str]]] = {
    "avdigits": (
        avdigits,
        ("image", "audio"),
        (20, 40, 80, 160),
        [
            *("efficientnet", "gradients", "colours", "course", "timbre", "spectrum"),
            *("course timbre", "course timbre spectrum"),
            "gradients course timbre",
            "efficientnet course timbre",
            "efficientnet gradients course timbre",
            "efficientnet gradients colours course timbre spectrum",
        ],
    ),
    "mvsa": (
        mvsa,
        ("image", "text"),
        (100, 400, 800),
        [
            *("efficientnet", "gradients", "colours", "minilm", "ngrams", "minilm ngrams"),
            *("efficientnet minilm", "gradients colours ngrams"),
            "efficientnet gradients colours minilm ngrams",
        ],
    ),
}


def reduced(values: Array, view: View, pool: Array) -> Array:
    """Standardise a view on the pool, to mean length 1; counts by idf and SVD before."""
    if view.kind == "counts":
        share = (values[pool] > 0).mean(axis=0)
        damped = np.log1p(values) * (np.log((1 + len(pool)) / (1 + share * len(pool))) + 1)
        damped /= np.maximum(np.linalg.norm(damped, axis=1, keepdims=True), 1e-9)
        values = TruncatedSVD(REDUCED, random_state=0).fit(damped[pool]).transform(damped)
    mean, deviation = values[pool].mean(axis=0), values[pool].std(axis=0)
    alive = deviation > 1e-6
    found = (values[:, alive] - mean[alive]) / deviation[alive]
    return found / np.sqrt((found[pool] ** 2).sum(axis=1).mean())


def score(x: Array, y: Array, pool: Array, test: Array, labels: int, draw: int) -> Array:
    """Return accuracy over tests and mean over classes with some random labels."""
    chosen = np.random.default_rng(draw).choice(pool, labels, replace=False)
    guess = LogisticRegression(C=10, max_iter=300).fit(x[chosen], y[chosen]).predict(x[test])
    right = guess == y[test]
    return np.array([right.mean(), np.mean([right[y[test] == k].mean() for k in np.unique(y)])])


def table(name: str, data: Path, cache: FeatureCache, draws: int) -> None:
    """Print accuracy / mean over classes of every combination."""
    read, kinds, counts, combinations = SETS[name]
    samples, y, pool, test = read(data)
    views: dict[str, Array] = {}
    for kind in kinds:
        modality = Modality(kind, ModalityKind(kind), kind)
        of = Schema((modality,), (Target("y", TargetKind.CLASSIFICATION, ("a", "b")),))
        values = (
            prepare(samples, of, preset("auto").preparation, cache).columns[0].gather(slice(None))
        )
        parts = measured(encoder_for(modality, preset("auto").preparation).views, values.shape[1])
        for view, place in zip(parts, columns(parts).values(), strict=True):
            views[view.name] = reduced(values[:, place], view, pool)
    print(f"{name}: accuracy / mean over classes with {counts} random labels, {draws} draws")
    for combination in combinations:
        x = np.concatenate([views[view] for view in combination.split()], axis=1)
        means = [
            np.mean([score(x, y, pool, test, n, draw) for draw in range(draws)], axis=0)
            for n in counts
        ]
        shown = "  ".join(f"{accuracy:.3f}/{by_class:.3f}" for accuracy, by_class in means)
        print(f"  {combination:48s}{shown}", flush=True)


def _labels(rows: list[Row], column: str, prefix: str) -> tuple[Array, Array, Array]:
    part = np.array([row[column] for row in rows])
    classes = np.array([int(row["label"]) for row in rows])
    return (
        classes,
        np.flatnonzero(part == f"{prefix}train"),
        np.flatnonzero(part == f"{prefix}test"),
    )


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("build/views"))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--only", choices=SETS)
    chosen = parser.parse_args()
    for name in [chosen.only] if chosen.only else list(SETS):
        table(name, chosen.data, FeatureCache(chosen.cache), chosen.draws)


if __name__ == "__main__":
    main()
