"""What the default is worth: anchors are measured once, and the page says what they mean."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import anchors, curves, evidence_worth
from experiments.plan import LIVE, RANDOM
from strategies.pool import TargetKind
from tests.experiments.conftest import make_replay

KINDS = (TargetKind.CLASSIFICATION, TargetKind.REGRESSION)


@pytest.mark.parametrize("kind", KINDS)
def test_anchors_are_measured_once_and_told(tmp_path: Path, kind: TargetKind) -> None:
    folder = make_replay(tmp_path, kind, ("random", "auto"))
    make_replay(folder / anchors.FORMER, kind, ("random",), rounds=2, initial_strategy=RANDOM)
    work = anchors.missing([folder])
    assert len(work) == 2 + 2  # two ceilings, and the starts of each seed
    for one in work:
        one()
    assert anchors.missing([folder]) == []
    found = anchors.starts(folder, 0)
    assert found is not None
    metric = curves.load(folder).metric
    assert [len(found[how]) for how in (RANDOM, LIVE)] == [len(anchors.SIZES)] * 2
    # 100 labels are the whole pool here, however they are chosen
    assert found[RANDOM][-1][metric] == pytest.approx(found[LIVE][-1][metric])
    text = evidence_worth.section([curves.load(folder)], [folder])
    for title in ("Labels that it needs", "Its order against random", "The fused head"):
        assert f"### {title}" in text
    assert "nan" not in text
    ceiling = anchors.ceiling(folder)
    assert ceiling is not None
    assert f"{ceiling:.3f} |" in text
    whole = anchors.whole(folder)
    assert whole is not None
    assert f"{whole:.3f} |" in text
    number = kind is TargetKind.REGRESSION
    assert ceiling < 0.5 if number else ceiling > 0.8
    assert whole < 1.0 if number else whole > 0.4  # eight steps of training, three classes


def test_labels_needed_lie_between_rounds_and_have_an_interval() -> None:
    labels = np.array([10.0, 20.0, 30.0])
    values = np.array([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]])
    need, low, high = evidence_worth.reach(values, np.array([0.25, 0.25]), labels)
    assert (need, low, high) == (15.0, 15.0, 15.0)
    assert all(np.isnan(evidence_worth.reach(values, np.array([2.0, 2.0]), labels)))
    need, low, high = evidence_worth.reach(values, np.array([0.25, 0.75]), labels)
    assert (low, need, high) == (15.0, 20.0, 25.0)


def test_nothing_is_said_of_what_was_not_run(tmp_path: Path) -> None:
    folder = make_replay(tmp_path, contenders=("random",))
    text = evidence_worth.section([curves.load(folder)], [folder])
    assert "Labels that it needs" not in text
    assert "The first batch" not in text


def test_the_majority_is_of_what_is_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("nowhere")
    data = SimpleNamespace(
        schema=SimpleNamespace(multimodal=SimpleNamespace(name="y")),
        labels={"y": np.array([1, 0, 0, 0, 1, -1, -1, -1, -1])},
        test=np.arange(1, 9),
    )
    monkeypatch.setattr(evidence_worth.curves, "data_of", lambda where: data)
    assert evidence_worth._majority(None, folder) == 0.75  # type: ignore[arg-type]
