"""Orders on frozen vectors: the same loop as a replay, with a linear learner."""

from __future__ import annotations

import numpy as np
import pytest

from experiments import frozen
from experiments.frozen import Learner, Vectors, curve, look, score
from experiments.plan import Contender
from strategies import TargetKind


def blobs(kind: TargetKind) -> Vectors:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, 200)
    features = {
        name: (centres[group] + 0.6 * rng.normal(size=(200, 4))).astype(np.float32)
        for name, centres in (("a", rng.normal(size=(3, 4))), ("b", rng.normal(size=(3, 4))))
    }
    truth = group.astype(float) if kind is TargetKind.REGRESSION else group
    return Vectors("blobs", kind, features, truth, np.arange(140), np.arange(140, 200))


@pytest.mark.parametrize("kind", [TargetKind.CLASSIFICATION, TargetKind.REGRESSION])
@pytest.mark.parametrize("text", ["random", "auto", "dbal:beta=3"])
def test_labels_help(kind: TargetKind, text: str) -> None:
    data, order = blobs(kind), Contender.read(text)
    found = [curve(data, order, "live", [6, 20, 60], seed) for seed in range(3)]
    assert np.mean(found, axis=0)[2] > np.mean(found, axis=0)[0]
    assert curve(data, order, "live", [6, 20, 60], 0) == found[0]


def test_the_score_is_that_of_the_test_rows() -> None:
    data = blobs(TargetKind.REGRESSION)
    learner = Learner(data, data.train)
    guess = learner.predict(data.joined(data.test))[:, 0]
    assert score(data, learner) == pytest.approx(-np.abs(guess - data.truth[data.test]).mean())


def test_held_out_predictions_do_not_see_their_labels() -> None:
    data = blobs(TargetKind.CLASSIFICATION)
    shuffled = Vectors(
        **{**vars(data), "truth": np.random.default_rng(1).integers(0, 3, len(data.truth))}
    )
    done = np.arange(60)
    pool = look(shuffled, np.arange(60, 140), done, Learner(shuffled, done), 0)
    hit = (pool.held_out.probabilities.argmax(axis=1) == pool.held_out.truth).mean()
    assert hit < 0.55, "labels by chance cannot be foreseen"
    assert pool.labelled_count == 60


def test_one_class_is_predicted_for_certain() -> None:
    data = blobs(TargetKind.CLASSIFICATION)
    rows = np.flatnonzero(data.truth == 1)[:5]
    assert (Learner(data, rows).predict(data.joined(data.test)) == [0, 1, 0]).all()


def test_the_table_is_printed(monkeypatch, capsys) -> None:
    monkeypatch.setattr(frozen, "vectors", lambda spec, root: blobs(TargetKind.CLASSIFICATION))
    arguments = ["frozen", "--root", ".", "--sets", "x", "--labels", "6,12", "--seeds", "2"]
    monkeypatch.setattr("sys.argv", [*arguments, "--first", "random,live"])
    frozen.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "blobs: macro_accuracy with 6,12 labels"
    assert len(lines) == 1 + 2 * 7
    assert lines[1].split()[:2] == ["random", "random"]
    assert "+0.0 ± 0.0" in lines[1]
