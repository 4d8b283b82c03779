"""What a report says, from curves small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from experiments import summary
from experiments.cells import Cell
from experiments.curves import Curves
from experiments.plan import Plan
from experiments.statistics import Interval, holm
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

NAMES = ("grace", "random", "entropy")
MAIN = {
    TargetKind.CLASSIFICATION: "macro_accuracy",
    TargetKind.MULTILABEL: "f1",
    TargetKind.REGRESSION: "mae",
}


def cell(contender: str, seed: int, number: int) -> Cell:
    """Return a measurement that took seed + 1 seconds to choose; the last round chose nothing."""
    seconds = {"choose": 100.0 if number == 2 else seed + 1.0}
    return Cell(contender, seed, number, 0, {}, {}, [], {}, {}, "", seconds)


def curves(
    finals: Sequence[Sequence[float]],
    kind: TargetKind = TargetKind.CLASSIFICATION,
    heads: dict[str, Sequence[float]] | None = None,
    names: tuple[str, ...] = NAMES,
) -> Curves:
    """Return three rounds with 10, 20 and 30 labels: 0, a final value, the final value.

    Args:
        finals: per contender and seed.
        kind: of the target.
        heads: modality -> value of its own head per contender, the same in every round.
        names: of the contenders.
    """
    values = np.asarray(finals, float)
    grid = values[:, :, None] * np.array([0.0, 1.0, 1.0])
    found = {MAIN[kind]: grid}
    for name, own in (heads or {}).items():
        found[f"{MAIN[kind]}:{name}"] = np.asarray(own, float)[:, None, None] + 0 * grid
    seeds = tuple(range(values.shape[1]))
    classes = () if kind is TargetKind.REGRESSION else ("a", "b")
    modalities = tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in ("one", "two"))
    plan = Plan("toy", "Toy", names, 10, 10, 3, len(seeds), 0, preset("quick"), "")
    return Curves(
        plan,
        Schema(modalities, (Target("y", kind, classes),)),
        names,
        seeds,
        np.array([10, 20, 30]),
        found,
        {(n, s): [cell(n, s, r) for r in range(3)] for n in names for s in seeds},
    )


def row(found: Curves, name: str) -> summary.Row:
    """Return a contender's row."""
    return next(one for one in summary.rows(found) if one.contender == name)


# Three quarters of a final value v are the area of 0, v, v: (v/2 + v) / 2.


def test_a_gain_is_the_area_above_randoms_though_random_is_not_first() -> None:
    found = curves([[0.8, 0.4], [0.4, 0.4], [0.0, 0.4]])
    assert found.reference == 1
    assert row(found, "grace").gain.mean == pytest.approx(0.75 * (0.4 + 0.0) / 2)
    assert row(found, "grace").mean == pytest.approx(0.75 * 0.6)
    assert row(found, "grace").final.mean == pytest.approx(0.6)
    assert row(found, "random").gain == Interval(0.0, 0.0, 0.0)
    assert row(found, "entropy").gain.mean == pytest.approx(-0.15)
    assert [one.contender for one in summary.rows(found)] == ["grace", "random", "entropy"]


def test_a_smaller_error_is_a_gain_of_the_same_size() -> None:
    found = curves([[0.8, 0.4], [0.4, 0.4], [0.0, 0.4]], TargetKind.REGRESSION)
    assert found.sign == -1
    assert row(found, "grace").gain.mean == pytest.approx(-0.15)
    assert row(found, "entropy").gain.mean == pytest.approx(0.15)
    assert row(found, "entropy").saving.reference == 10  # an error of 0 comes first
    assert curves([[1.0, 1.0]], names=("random",)).sign == 1


def test_without_random_all_are_compared_with_the_first() -> None:
    found = curves([[0.4, 0.4], [0.8, 0.8]], names=("grace", "entropy"))
    assert found.reference == 0
    assert row(found, "entropy").gain.mean == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("kind", "strongest", "gain"),
    [(TargetKind.CLASSIFICATION, "two", 0.2), (TargetKind.REGRESSION, "one", -0.4)],
)
def test_the_weaker_modality_is_the_reference_s_worse_head(
    kind: TargetKind, strongest: str, gain: float
) -> None:
    heads = {"one": [0.5, 0.3, 0.3], "two": [0.9, 0.5, 0.5]}
    found = curves([[0.4, 0.4]] * 3, kind, heads)
    assert found.by_strength()[0] == strongest
    assert {found.head_sign(head) for head in found.heads} == {found.sign}
    weaker = row(found, "grace").weaker
    assert weaker is not None
    assert weaker.mean == pytest.approx(gain)


def test_one_head_has_no_weaker_one() -> None:
    assert row(curves([[0.4, 0.4]] * 3, heads={"one": [0.5] * 3}), "grace").weaker is None


def test_identical_contenders_are_told_apart_by_nothing() -> None:
    found = curves([[0.4, 0.6], [0.4, 0.6], [0.4, 0.6]])
    same = row(found, "grace")
    assert (same.gain.low, same.gain.high, same.p, same.p_holm) == (0, 0, 1, 1)
    assert not same.gain.excludes_zero
    assert not summary.surely_better(same)
    assert not summary.surely_worse(same)
    assert "No strategy did better than random here" in summary.verdict(found, summary.rows(found))


@pytest.mark.parametrize(
    ("low", "high", "outside"),
    [
        (0, 0, False),
        (0, 1, False),
        (-1, 0, False),
        (-1, 1, False),
        (0.1, 1, True),
        (-1, -0.1, True),
    ],
)
def test_an_interval_that_touches_zero_does_not_exclude_it(
    low: float, high: float, outside: bool
) -> None:
    assert Interval((low + high) / 2, low, high).excludes_zero is outside


def test_holm_never_exceeds_one_and_never_falls() -> None:
    assert holm([0.5, 0.4, 0.9]) == [1.0, 1.0, 1.0]
    # 0.02 * 3 = 0.06; 0.03 * 2 = 0.06; 0.04 * 1 = 0.04, which may not fall below 0.06.
    assert holm([0.04, 0.02, 0.03]) == pytest.approx([0.06, 0.06, 0.06])
    assert holm([]) == []


def test_p_values_are_adjusted_for_the_rivals_only() -> None:
    found = curves([[0.5, 0.7], [0.4, 0.4], [0.4, 0.4]])
    # A t-test of the gaps 0.075 and 0.225: t = 2 with one degree of freedom, p = 0.2952.
    assert row(found, "grace").p == pytest.approx(0.29517, abs=1e-5)
    assert row(found, "grace").p_holm == pytest.approx(2 * row(found, "grace").p)
    assert (row(found, "random").p, row(found, "random").p_holm) == (1, 1)
    both = curves([[0.5, 0.7], [0.4, 0.4]], names=("grace", "random"))
    assert row(both, "grace").p_holm == row(both, "grace").p


def test_seconds_per_choice_leave_out_the_last_round_which_chose_nothing() -> None:
    assert row(curves([[0.4, 0.4]] * 3), "grace").seconds == 1.5


def test_the_table_holds_the_rows_numbers() -> None:
    found = curves([[0.8, 0.4], [0.4, 0.4], [0.0, 0.4]])
    rows = summary.rows(found)
    table = summary.table(found, rows).to_pydict()
    assert table["strategy"] == ["grace", "random", "entropy"]
    assert table["metric"] == ["macro_accuracy"] * 3
    for name, values in {
        "final": [one.final.mean for one in rows],
        "final_low": [one.final.low for one in rows],
        "final_high": [one.final.high for one in rows],
        "area": [one.mean for one in rows],
        "gain": [one.gain.mean for one in rows],
        "gain_low": [one.gain.low for one in rows],
        "gain_high": [one.gain.high for one in rows],
        "p": [one.p for one in rows],
        "p_holm": [one.p_holm for one in rows],
        "labels_needed": [one.saving.needed for one in rows],
        "labels_saved": [one.saving.saved for one in rows],
        "labels_saved_low": [one.saving.low for one in rows],
        "labels_saved_high": [one.saving.high for one in rows],
        "gain_weaker": [None] * 3,
        "seconds_per_choice": [1.5] * 3,
    }.items():
        assert table[name] == values, name
