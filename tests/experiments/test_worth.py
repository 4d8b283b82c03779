"""What the default is worth: anchors are measured once, and the page says what they mean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import anchors, curves, evidence_worth
from experiments.plan import LIVE, RANDOM
from strategies.pool import TargetKind
from tests.experiments.conftest import make_replay
from tests.experiments.toy import curves as toy

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


def cells(text: str) -> list[list[str]]:
    """Return the rows of the only table of a section."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows[2:]]


def test_calibration_is_of_models_with_a_hundred_labels_or_more() -> None:
    found = toy([[0.5, 0.5]] * 2, names=("auto", "random"))
    grid = np.array([[[9, 0.1, 0.3]] * 2, [[9, 0.2, 0.2]] * 2])
    found = replace(found, labels=np.array([99, 100, 200]), values={**found.values, "ece": grid})
    assert cells(evidence_worth._calibration([found])) == [
        ["toy", "0.200, at most 0.200", "0.200, at most 0.300"]
    ]
    one = replace(found, contenders=("auto", "grace"))
    assert cells(evidence_worth._calibration([one]))[0][1:] == ["–", "0.200, at most 0.300"]
    assert evidence_worth._calibration([replace(found, labels=np.array([9, 10, 99]))]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_is_compared_with_random_from_the_same_first_batch(
    tmp_path: Path, kind: TargetKind
) -> None:
    number = kind is TargetKind.REGRESSION
    names, finals = ("auto", "random"), [[1.6, 1.6], [0.8, 0.8]]
    found = toy([[-v for v in one] for one in finals] if number else finals, kind, names=names)
    (row,) = cells(evidence_worth._orders([(found, tmp_path)]))
    end = "-0.800" if number else "0.800"
    late = found.of("multimodal").copy()
    late[1, :, -1] *= 2
    late = replace(found, values={**found.values, found.metric: late})
    (other,) = cells(evidence_worth._orders([(late, tmp_path)]))
    assert float(other[-2]) == pytest.approx(2 * float(end)), "the last round's"
    # Heights 0, .8, .8 apart; random's end is reached half-way to the second model.
    assert row == [
        *("toy", "+0.5333", "+0.5333 to +0.5333", "20", "5 (25%)", "5 to 5", end, "–"),
    ]


@pytest.mark.parametrize(("most", "told"), [(0.83, True), (0.82, False), (None, False)])
def test_a_saving_counts_where_more_labels_would_have_helped(
    tmp_path: Path, most: float | None, told: bool
) -> None:
    found = toy([[1.6, 1.6], [0.8, 0.8]], names=("auto", "random"))
    if most is not None:
        (tmp_path / "anchors").mkdir()
        (tmp_path / "anchors" / "whole.json").write_text(json.dumps({"value": most}))
    text = evidence_worth._orders([(found, tmp_path)])
    assert ("Median over the 1 settings" in text) == told
    assert cells(text)[0][-1] == ("–" if most is None else f"{most:.3f}")


def test_the_fused_head_is_held_against_the_best_one_where_it_does_worst(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evidence_worth, "_majority", lambda one, folder: 0.25)
    heads = {"one": [0.3, 0.9], "two": [0.4, 0.1]}
    found = toy([[0.5, 0.5]] * 2, heads=heads, names=("auto", "random"))
    accuracy = np.array([[[0.5, 0.3, 0.4]] * 2, [[0] * 3] * 2])
    found = replace(found, values={**found.values, "accuracy": accuracy})
    (row,) = cells(evidence_worth._heads([(found, tmp_path)]))
    # auto's own best head is `two`, .4; the first of 0, .5, .5 is the worst beside it.
    assert row[:3] == ["toy", "two", "-0.400 (at 10)"]
    assert row[4:6] == ["0.250", "+0.050 (at 20)"]
    errors = toy([[0.5, 0.5]] * 2, TargetKind.REGRESSION, heads, names=("auto", "random"))
    (row,) = cells(evidence_worth._heads([(errors, tmp_path)]))
    assert row[:3] == ["toy", "one", "-0.200 (at 20)"], "less error is better"
    assert row[4:] == ["–"] * 3


def test_first_batches_are_compared_by_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def starts(folder: Path, seed: int) -> anchors.Starts:
        return {
            RANDOM: [{"mae": 1.0 + seed, "macro_accuracy": 0.5}] * len(anchors.SIZES),
            LIVE: [{"mae": 0.5 + seed, "macro_accuracy": n / 10} for n in range(3)],
        }

    monkeypatch.setattr(anchors, "starts", starts)
    (row,) = cells(evidence_worth._starts([(toy([[0.5, 0.5]]), tmp_path)]))
    assert [cell.partition(" (")[0] for cell in row[1:]] == [
        *("0.500 → 0.000", "0.500 → 0.100", "0.500 → 0.200"),
    ]
    assert "(-0.500 to -0.500) ·" in row[1]
    (row,) = cells(evidence_worth._starts([(toy([[1, 1]], TargetKind.REGRESSION), tmp_path)]))
    assert row[1] == "1.500 → 1.000 (+0.500 to +0.500) ·", "less error leads"
