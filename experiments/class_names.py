"""Names of classes as features: do likenesses of a text to them add to its vector?

python -m experiments.class_names --root DATA [--cache FOLDER] [--pictures] [--seeds 8]

On mvsa's texts, with `auto`'s views on one scale and logistic regression, random labels. A likeness
is the cosine of MiniLM's vectors of a text and of a class: its name alone, or in a sentence. Lines:
the views alone; with likenesses as one more view of the text; likenesses only; likenesses as first
labels (those whose largest likeness is furthest ahead, as many of each class). Before: no labels.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from experiments.dataset import Dataset
from experiments.sets import named
from experiments.statistics import standard_error
from model.cache import FeatureCache
from model.encoders.minilm import Sentences, tokenizer
from model.encoders.resident import in_pieces, resident
from model.preparation import prepare
from model.presets import preset
from model.schema import Schema
from model.untrained import look_untrained

SENTENCES = ("{}", "this is {}", "i feel {} about this", "a {} tweet")
STRENGTH = 10.0
Matrix = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Draw = Callable[[Rows, int, np.random.Generator], Rows]


def embedded(texts: list[str]) -> Matrix:
    """Return MiniLM's vectors, each of length 1."""
    tokens = [tokenizer(100).encode(text).ids for text in texts]
    ids = np.full((len(tokens), max(map(len, tokens))), -1)
    for row, some in zip(ids, tokens, strict=True):
        row[: len(some)] = some
    found = in_pieces(resident("minilm", Sentences), ids, 16)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def views(data: Dataset, schema: Schema, cache: FeatureCache) -> tuple[Matrix, Matrix]:
    """Return `auto`'s features on their scale, and MiniLM's vectors of the texts."""
    chosen = preset("auto").preparation
    inputs = prepare(data.samples, schema, chosen, cache)
    pool = look_untrained(inputs, schema, chosen)
    assert pool.features is not None
    raw = inputs.columns[schema.names.index("text")].gather(slice(None))[:, : Sentences.width]
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    joined = np.hstack([pool.features[name] for name in schema.names])
    return joined.astype(np.float32), (raw / np.maximum(lengths, 1e-9)).astype(np.float32)


def likenesses(texts: Matrix, classes: tuple[str, ...]) -> Matrix:
    """Return (N, K) cosines, mean over the sentences, centred and divided by their deviation."""
    found = np.mean(
        [texts @ embedded([s.format(name) for name in classes]).T for s in SENTENCES], axis=0
    )
    return np.asarray((found - found.mean(axis=0)) / found.std(axis=0), np.float32)


def scores(x: Matrix, y: Rows, chosen: Rows, test: Rows) -> tuple[float, float]:
    """Return accuracy over tests and its mean over classes."""
    if len(set(y[chosen])) < 2:
        guess = np.full(len(test), y[chosen][0])
    else:
        guess = (
            LogisticRegression(C=STRENGTH, max_iter=300).fit(x[chosen], y[chosen]).predict(x[test])
        )
    return both(guess, y[test])


def both(guess: Rows, truth: Rows) -> tuple[float, float]:
    """Return accuracy over tasks and its mean over classes."""
    right = guess == truth
    return float(right.mean()), float(np.mean([right[truth == k].mean() for k in set(truth)]))


def ahead(like: Matrix) -> Draw:
    """Return a draw of those whose class is the most likely by its name, as many of each."""

    def draw(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        ranked = np.sort(like[rows], axis=1)
        lead, guess = ranked[:, -1] - ranked[:, -2], like[rows].argmax(axis=1)
        turn = np.empty(len(rows), np.int64)
        for k in range(like.shape[1]):
            members = np.flatnonzero(guess == k)
            turn[members[np.argsort(-lead[members])]] = np.arange(len(members))
        return rows[np.argsort(turn, kind="stable")[:count]]

    return draw


def at_random(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    """Return random rows."""
    return rng.choice(rows, count, replace=False)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of the named sets")
    parser.add_argument("--cache", type=Path, default=Path("build/views"))
    parser.add_argument("--labels", default="20,40,80,160,320")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--pictures", action="store_true", help="the pictures' views, too")
    said = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    data = named("mvsa", said.root)
    target, y = data.schema.multimodal, np.asarray(data.labels[data.schema.multimodal.name])
    used = data.schema.modalities if said.pictures else data.schema.modalities[:1]
    schema = Schema(used, (target,))
    joined, texts = views(data, schema, FeatureCache(said.cache))
    like = likenesses(texts, target.classes)
    more = np.hstack([joined, like / np.sqrt(like.shape[1])])
    accuracy, by_class = both(like[data.test].argmax(axis=1), y[data.test])
    share = np.bincount(y[data.test]).max() / len(data.test)
    print(f"{data.name}: no labels {accuracy:.3f}/{by_class:.3f}; commonest class {share:.3f}")
    base = None
    for name, x, draw in (
        ("views", joined, at_random),
        ("views, likenesses", more, at_random),
        ("likenesses alone", like, at_random),
        ("views, first by likeness", joined, ahead(like)),
    ):
        grid = np.array(
            [
                [curve(x, y, data, draw, int(n), seed) for n in said.labels.split(",")]
                for seed in range(said.seeds)
            ]
        )
        base = grid if base is None else base
        print(_line(name, grid, grid - base), flush=True)


def curve(
    x: Matrix, y: Rows, data: Dataset, draw: Draw, count: int, seed: int
) -> tuple[float, float]:
    """Return both metrics with so many labels of a seed's 80% of the training part."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(data.train)[: int(0.8 * len(data.train))]
    return scores(x, y, draw(rows, count, rng), data.test)


def _line(name: str, grid: npt.NDArray[np.float64], lead: npt.NDArray[np.float64]) -> str:
    shown = "  ".join(f"{a:.3f}/{b:.3f}" for a, b in grid.mean(axis=0))
    mean = 100 * lead.mean(axis=1)
    errors = standard_error(mean)
    leads = ", ".join(f"{m:+.1f} ± {e:.1f}" for m, e in zip(mean.mean(axis=0), errors, strict=True))
    return f"  {name:<26} {shown}   lead {leads}"


if __name__ == "__main__":
    main()
