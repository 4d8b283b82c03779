"""The replays of what may be accepted and of labels that are wrong, on tasks that are easy."""

from __future__ import annotations

import numpy as np

from experiments import accept, mislabelled
from experiments.accept import Moment
from experiments.known import Data
from model.schema import Target
from strategies import TargetKind

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, 1500)
EASY = Data(
    "easy",
    (np.eye(3)[TRUTH] + RNG.normal(size=(1500, 3)) / 6).astype(np.float32),
    TRUTH,
    Target("class", TargetKind.CLASSIFICATION, ("a", "b", "c")),
)


def test_sure_answers_are_accepted_and_compared_with_the_truth() -> None:
    few, many = accept.replay(EASY, 0, (100, 500))
    assert (few.labels, few.share) == (100, 0.0)
    assert np.isnan(few.wrong)
    assert many.audited >= 45
    assert many.share > 0.5
    assert many.wrong <= 0.05
    bad = Moment(500, 60, 0.9, 0.4, 0.06)
    text = accept.report("easy", [few, many, bad])
    assert "1 of 2 (50%)" in text
    assert "1 of 1 (100%)" in text, "nothing accepted breaks no promise"


def test_wrong_labels_come_first() -> None:
    first, suspects, found = mislabelled.one(EASY, 0.05, 0)
    assert first > 0.8
    assert suspects > 0.8
    assert found > 0.8
    assert "| easy | 10% |" in mislabelled.report([EASY], 2)
