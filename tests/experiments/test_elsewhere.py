"""The same models on the test part and on the rest: signs, the best head, and no label twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments import elsewhere
from experiments.plan import LIVE, RANDOM, Plan
from experiments.replay import data_of, first_rows
from tests.experiments.conftest import make_replay

HEADS = [{"mae": 1.0, "mae:text": 0.5, "mae:audio": 0.9, "accuracy": 0.0}] * 2
LOWER = [{"mae": 0.75}, {"mae": 1.5}]
WORSE = {"mae": 9.0, "mae:text": 9.0, "mae:audio": 9.0}


def test_the_best_head_is_subtracted_and_less_error_is_better() -> None:
    found = {
        RANDOM: [(one, WORSE) for one in HEADS],
        LIVE: [(one, WORSE) for one in LOWER],
    }
    heads, batch = elsewhere.differences(found, 0, "mae")
    assert heads.tolist() == [-0.5, -0.5]
    assert batch.tolist() == [0.25, -0.5]


def test_the_rest_has_no_task_that_was_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_replay(tmp_path, run=False)
    plan, data = Plan.read(folder), data_of(folder)
    asked = []

    def seen(model, where):
        asked.append(where.test)
        return {"accuracy": float(len(where.test))}, {}

    monkeypatch.setattr(elsewhere, "measure", seen)
    elsewhere.both(data, plan, 0, RANDOM, 20)
    test, rest = asked
    assert np.array_equal(test, data.test)
    known = first_rows(data, plan, 0, RANDOM, 20)
    assert sorted([*rest, *known]) == sorted(data.train)


def test_the_best_head_is_the_one_that_is_best_over_all_seeds() -> None:
    base = [
        {"mae": 1.0, "mae:text": 0.5, "mae:audio": 0.9},
        {"mae": 1.0, "mae:text": 0.7, "mae:audio": 0.6},
    ]
    found = {RANDOM: [(one, WORSE) for one in base], LIVE: [(one, WORSE) for one in base]}
    heads, _ = elsewhere.differences(found, 0, "mae")
    assert heads == pytest.approx([-0.5, -0.3]), "text's: .6 in the mean, where audio's is .75"
