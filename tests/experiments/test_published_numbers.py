"""What a report says, from curves small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from experiments import alarms, evidence_stopping, measuring, merging, report, summary
from experiments.alarms import Alarms, Moment
from experiments.curves import Curves
from experiments.papers import shown
from experiments.statistics import Interval, holm
from model import metrics
from model.fusion import MOST_MODALITIES
from model.schema import Schema, Target
from strategies import Pool, Selection
from strategies.pool import TargetKind
from tests.experiments.toy import curves


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
    assert row(curves([[0.4, 0.4]] * 3), "grace").seconds == (1 + 2 + 2 + 4) / 4


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
        "seconds_per_choice": [2.25] * 3,
    }.items():
        assert table[name] == values, name


@pytest.mark.parametrize("modalities", [1, 2])
def test_every_column_of_a_report_is_explained_and_no_other(modalities: int) -> None:
    heads = {"one": (0.1, 0.2, 0.3), "two": (0.4, 0.5, 0.6)} if modalities == 2 else None
    found = curves([[0.8, 0.4], [0.4, 0.4], [0.0, 0.4]], heads=heads)
    if modalities == 1:
        found = replace(
            found, schema=Schema(found.schema.modalities[:1], (found.schema.multimodal,))
        )
    shown = report.numbers(found, summary.rows(found))
    explained = [name for name, _ in report._numbers_terms(found)]
    assert len(set(explained)) == len(explained)
    columns = {"final" if name.startswith("final") else name for name in shown.header}
    assert columns - {"strategy"} == set(explained)
    assert ("lead, one alone" in columns) == (modalities == 2), "the weaker one"


# The stopping hint's alarms


def moment(agreement: float, left: float, gain: float = 0.0, changed: float = 0.1) -> Moment:
    """Return a moment."""
    return Moment(agreement, changed, left, gain)


def test_alarms_by_hand() -> None:
    found = [
        moment(0.95, 0.005, 0.02, 0.1),
        moment(0.95, 0.01),  # at the tolerance: nothing much was left
        moment(0.90, 0.02, 0.03, 0.3),
        moment(0.80, 0.5),
    ]
    counted = alarms.count(found, 0.9)
    assert (counted.moments, counted.flat, counted.given, counted.false) == (4, 2, 3, 1)
    assert counted.yield_ == pytest.approx(0.05 / 0.6)
    assert counted.false_rate == pytest.approx(1 / 3)
    assert np.isnan(alarms.count(found, 0.96).false_rate)
    assert alarms.count([moment(0.9, 0.0, changed=0.0)], 0.9).yield_ == 0


def test_alarms_are_told_in_words() -> None:
    assert report.alarm_text(Alarms(0, 0, 0, 0, 0.0)) == (
        "There are too few rounds to give the hint."
    )
    never = report.alarm_text(Alarms(9, 3, 0, 0, 0.0))
    assert "At 9 moments the hint could be given; at 3 of them" in never
    assert never.endswith("It never said that the curve has flattened.")
    given = report.alarm_text(Alarms(9, 3, 4, 1, 0.0))
    assert "at most 1 point" in given
    assert given.endswith("It said “flattened” 4 times and was wrong 1 times (25%).")


def test_the_threshold_is_the_lowest_with_few_wrong_hints_in_the_worst_group() -> None:
    good = [moment(0.85, 0.0)] * 30
    # In this group a hint below .9 is wrong in half of all moments, from .9 on in a tenth.
    bad = [moment(0.85, 1.0)] * 8 + [moment(0.95, 0.0)] * 9 + [moment(0.95, 1.0)]
    assert alarms.tune([good]) == 0.7
    assert alarms.tune([bad, good + [moment(0.95, 0.0)] * 20]) == 0.86
    assert alarms.tune([good[:19]]) == 1.0  # too few hints to tell
    assert alarms.tune([good[:20]]) == 0.7
    # Where no threshold is good enough, the one with the smallest share of wrong hints.
    worse = [moment(0.8, 1.0)] * 30 + [moment(0.9, 1.0)] * 10 + [moment(0.9, 0.0)] * 20
    assert alarms.tune([worse]) == 0.81


def test_the_page_adds_up_the_hints_of_settings_that_had_no_say() -> None:
    found = {"one": (0.9, Alarms(50, 40, 20, 3, 0.5)), "two": (0.85, Alarms(9, 9, 0, 0, 0.25))}
    text = evidence_stopping._left_out_text(found)
    assert "**3 of 20 (15%) hints were wrong.**" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert ["one", "0.90", "50", "40", "20", "3", "15%", "0.50"] in rows
    assert ["two", "0.85", "9", "9", "0", "0", "–", "0.25"] in rows
    assert evidence_stopping._left_out_text({}) == ""
    nobody = evidence_stopping._left_out_text({"two": found["two"]})
    assert "**0 of 0 hints were wrong.**" in nobody


def test_each_group_is_measured_with_the_others_threshold() -> None:
    calm = [moment(0.75, 0.0)] * 30
    wild = [moment(0.75, 1.0)] * 30 + [moment(0.9, 0.0)] * 30
    found = alarms.held_out({"calm": calm, "wild": wild})
    assert found["calm"][0] == 0.76
    assert found["calm"][1].given == 0
    assert found["wild"][0] == 0.7
    assert found["wild"][1].false == 30
    assert alarms.held_out({"calm": calm}) == {}


# What one measurement of a replay holds


def test_metrics_of_a_measurement_by_hand() -> None:
    choice = Target("y", TargetKind.CLASSIFICATION, ("a", "b", "c"))
    outputs = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0.4, 0], [0.7, 0.3, 0]])
    truth = np.array([0, 1, 1, 0])
    found = metrics.measure(choice.kind, outputs, truth)
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["macro_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert measuring._by_class(choice, outputs, truth) == {"a": 1.0, "b": 0.5}  # no c to measure
    tags = Target("y", TargetKind.MULTILABEL, ("a", "b", "c"))
    outputs = np.array([[0.5, 0.4, 0.1], [0.9, 0.6, 0.2]])
    truth = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    # a: two said, one true, one right; b: one said, two true, one right; c: nobody says it.
    found = metrics.measure(tags.kind, outputs, truth)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert measuring._by_class(tags, outputs, truth) == {"a": 0.5, "b": 0.5, "c": 1.0}
    number = Target("y", TargetKind.REGRESSION, (), 0.0, 2.0)
    outputs, truth = np.array([1.0, 2.5, 0.0]), np.array([1.5, 2.0, 1.0])
    found = metrics.measure(number.kind, outputs, truth, (0.0, 2.0))  # 2.5 counts as the end, 2
    assert found["mae"] == pytest.approx(0.5)
    assert measuring._by_class(number, np.zeros(2), np.zeros(2)) == {}


def test_uncertainty_is_a_share_of_the_largest() -> None:
    def of(rows: Sequence[Sequence[float]], target: TargetKind) -> list[float] | None:
        found = measuring.uncertainty(
            Pool(size=len(rows), target=target, probabilities=np.array(rows))
        )
        return None if found is None else found.tolist()

    sure = of([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]], TargetKind.CLASSIFICATION)
    assert sure == pytest.approx([0, 1, 0.5], abs=1e-6)
    several = of([[0, 1], [0.5, 0.5], [0.5, 1]], TargetKind.MULTILABEL)
    assert several == pytest.approx([0, 1, 0.5], abs=1e-6)
    assert of([[0.5], [0.2]], TargetKind.REGRESSION) is None


def test_contributions_are_measured_of_few_modalities_and_of_classes_only() -> None:
    choice = Target("y", TargetKind.CLASSIFICATION, ("a", "b"))
    assert measuring.explainable(choice, MOST_MODALITIES)
    assert not measuring.explainable(choice, MOST_MODALITIES + 1)
    assert not measuring.explainable(Target("y", TargetKind.REGRESSION), 2)


def test_explanations_of_a_batch_beside_its_pool() -> None:
    pool = Pool(
        size=3,
        target=TargetKind.CLASSIFICATION,
        probabilities=np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]),
    )
    parts = {"informativeness": [1.0, 2.0, 3.0], "representativeness": [1.0, 0.5, 0.0]}
    selection = Selection(
        order=np.arange(3),
        scores=np.zeros(3),
        components={**{k: np.array(v) for k, v in parts.items()}, "easiness": np.array([0, 1, 2])},
        notes={"alpha": 0.5},
    )
    whole, chosen = measuring.describe(pool, selection, np.array([1, 2]))
    assert whole["uncertainty"] == pytest.approx(1 / 3, abs=1e-6)
    assert chosen["uncertainty"] == pytest.approx(1 / 2, abs=1e-6)
    assert (whole["informativeness"], chosen["informativeness"]) == (2, 2.5)
    assert (whole["worth"], chosen["worth"]) == pytest.approx((2 / 3, 0.5))
    assert (whole["eased"], chosen["eased"]) == pytest.approx((0.5, 0.75))


def test_settings_are_counted_by_how_sure_they_are() -> None:
    found = curves([[0.5, 0.6], [0.5, 0.6]], names=("grace", "random"))
    like = row(found, "grace")
    cases = {
        "surely better": (Interval(0.2, 0.1, 0.3), 0.01),
        "probably better": (Interval(0.2, 0.1, 0.3), 0.4),
        "within the noise": (Interval(0.0, -0.1, 0.1), 0.9),
        "probably worse": (Interval(-0.2, -0.3, -0.1), 0.4),
        "surely worse": (Interval(-0.2, -0.3, -0.1), 0.01),
    }
    for column, (gain, p) in cases.items():
        rows = [[replace(like, gain=gain, p_holm=p)], [replace(like, gain=gain, p_holm=p)]]
        table = merging.standings([found, found], rows)
        (told,) = [line for line in table.rows if line[0] == "grace"]
        said = dict(zip(table.header, told, strict=True))
        assert said["settings"] == "2"
        assert {name: said[name] for name in cases} == {
            name: "2" if name == column else "0" for name in cases
        }


def test_a_class_s_gain_is_ours_less_theirs_with_the_last_labels() -> None:
    found = curves([[0.5, 0.6]] * 3)
    grid = np.zeros((3, 2, 3))
    grid[0, :, -1], grid[2, :, -1] = (0.9, 0.7), (0.4, 0.4)
    found = replace(found, values={**found.values, "within:two:a": grid, "within:one:b": -grid})
    assert shown._gains(found, "two", 0, 2) == pytest.approx({"a": 0.4})
    assert shown._gains(found, "one", 0, 2) == pytest.approx({"b": -0.4})
