"""The made sets hold what they promise, and the comparison on them says what a replay found."""

from __future__ import annotations

import io

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from experiments.dataset import Dataset
from experiments.papers.made import alike, compared, three_sentiments, two_modalities
from model.presets import preset


def vectors(data: Dataset, name: str) -> np.ndarray:
    return np.stack([np.load(io.BytesIO(sample[name].load())) for sample in data.samples])  # type: ignore[union-attr]


def test_the_weak_modality_tells_nothing_in_most_tasks() -> None:
    data = two_modalities(1000)
    truth = np.asarray(data.labels["y"])

    def learned(name: str) -> LogisticRegression:
        return LogisticRegression().fit(vectors(data, name)[data.train], truth[data.train])

    heads = {name: learned(name) for name in ("strong", "weak")}
    told = {n: h.score(vectors(data, n)[data.test], truth[data.test]) for n, h in heads.items()}
    within = heads["weak"].score(vectors(data, "weak")[data.train], truth[data.train])
    assert told["strong"] > 0.8
    assert told["weak"] > within + 0.1
    assert within < 0.7


def test_a_quarter_of_the_sentiments_are_near_duplicates() -> None:
    data = three_sentiments(400)
    text = vectors(data, "text")[data.train]
    gaps = np.linalg.norm(text[:, None] - text[None], axis=2)
    crowded = (gaps < 3).sum(axis=1) > 20
    assert crowded.mean() == pytest.approx(0.25, abs=0.06)
    assert np.abs(np.asarray(data.labels["y_text"])).max() <= 1


def test_strategies_are_compared_head_by_head() -> None:
    chosen = preset("quick", epochs=2, min_steps=5, projection=8)
    found = compared(two_modalities(120), ("badge", "bmmal"), chosen, (20, 10, 2), 2)
    assert [row[:2] for row in found.rows] == [
        [head, name] for head in ("multimodal", "strong", "weak") for name in ("badge", "bmmal")
    ]
    assert [float(row[3]) for row in found.rows[::2]] == [0, 0, 0], "badge against itself"
    shared = alike(three_sentiments(150), chosen, 30, 20)
    assert 0 <= shared <= 20
