"""An order without a model covers the pool better than chance does."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
from scipy.stats import ttest_rel

from backend.labelstudio.config import parse
from backend.rounds.covering import covering
from model.cache import FeatureCache
from model.preparation import prepare
from model.presets import preset
from strategies import STRATEGIES, cold_start

CONFIG = parse('<View><Text name="t" value="$t"/><TextArea name="a" toName="t"/></View>')
TASKS, DONE, MORE, SEEDS = 300, 20, 60, 6


def tweets(archive: Path) -> list[str]:
    with tarfile.open(archive) as file:
        index = file.extractfile("mvsa/index.csv")
        assert index is not None
        return [row["text"] for row in csv.DictReader(io.TextIOWrapper(index, encoding="utf-8"))]


def test_free_text_is_covered_better_than_by_chance(shared_data: Path, tmp_path: Path) -> None:
    texts = tweets(next(shared_data.rglob("mvsa*.tar*")))
    far: dict[str, list[float]] = {"covering": [], "coreset": [], "random": []}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        chosen = [{"t": texts[i]} for i in rng.choice(len(texts), TASKS, replace=False)]
        inputs = prepare(chosen, CONFIG.schema, preset("auto").preparation, FeatureCache(tmp_path))
        pool = covering(inputs, DONE, CONFIG.schema, preset("auto").preparation)
        assert pool.features is not None
        assert pool.labelled_features is not None
        both = [np.asarray(found["t"]) for found in (pool.labelled_features, pool.features)]
        vectors = np.concatenate(both)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        orders = {
            "covering": cold_start(pool)(pool, MORE, rng).order,
            "coreset": STRATEGIES["coreset"](pool, MORE, rng).order,
            "random": rng.permutation(TASKS - DONE),
        }
        for name, order in orders.items():
            done = vectors[[*range(DONE), *(DONE + order[:MORE])]]
            gaps = np.sqrt(np.maximum(2 - 2 * vectors @ done.T, 0))  # unit vectors
            far[name].append(float(gaps.min(axis=1).mean()))
    means = {name: round(float(np.mean(values)), 4) for name, values in far.items()}
    p = ttest_rel(far["covering"], far["random"]).pvalue
    print(f"mean distance to the nearest annotated task: {means}, p = {p:.1e}")
    assert means["covering"] < means["random"]
    assert p < 0.01
