"""The replays that audit tasks are judged by: each moment is measured, and told in words."""

from __future__ import annotations

import numpy as np

from experiments.audit import PROJECT, replay, report
from experiments.known import Data, target


def test_a_replay_measures_its_models_and_reports() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, PROJECT + 300)
    x = (np.eye(10)[truth] + rng.normal(size=(len(truth), 10)) / 4).astype(np.float32)
    data = Data("made", x, truth, target(10))
    found = list(replay(data, 0.5, 120, 0))
    assert [one.labels for one in found][-2:] == [100, 120]
    (told,) = [one for one in found if one.found]
    value, low, high = told.found
    assert told.labels == 100
    assert told.audited >= 40
    assert low <= value <= high
    assert abs(value - told.truth) < 0.2
    assert found[-1].step is not None
    text = report([*found, *replay(data, 0.0, 100, 0)])
    assert "interval of the accuracy held the truth" in text
    assert "Hints that the curve is flat" in text
