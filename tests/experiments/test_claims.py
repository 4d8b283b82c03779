"""What the evidence page says of the papers' claims, from replays worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from experiments import claims, evidence_claims
from experiments.claims import Finding
from experiments.statistics import Interval
from experiments.summary import rows
from strategies.pool import TargetKind
from tests.experiments.toy import curves, with_values

PAIR = ("badge", "bmmal")
LOSS = TargetKind.REGRESSION


@pytest.mark.parametrize(
    ("p", "mean", "reading"),
    [
        (0.1, 0.5, "within the noise"),
        (0.0999, 0.5, "as claimed"),
        (0.0999, -0.5, "the opposite"),
    ],
)
def test_a_finding_is_read_by_its_p_and_its_sign(p: float, mean: float, reading: str) -> None:
    assert Finding("toy", "what", Interval(mean, mean, mean), p).reading == reading


@pytest.mark.parametrize(("kind", "sign"), [(TargetKind.CLASSIFICATION, 1), (LOSS, -1)])
def test_a_comparison_is_ours_less_theirs_in_area_and_less_error_is_better(
    kind: TargetKind, sign: int
) -> None:
    found = curves([[0.4, 0.4], [0.8, 0.4]], kind, names=PAIR)
    one = claims.together(found)
    assert one is not None
    assert one.difference.mean == pytest.approx(sign * 0.75 * 0.2)
    assert one.p == pytest.approx(0.5)  # gaps of .3 and 0: t = 1 with one degree of freedom
    assert (one.setting, one.what) == ("toy", "bmmal against badge, all modalities")
    assert claims.compared(found, "bmmal", "random", "multimodal") is None
    assert claims.compared(found, "random", "bmmal", "multimodal") is None


def test_the_weaker_modality_is_compared_by_its_own_head() -> None:
    heads = {"one": [0.9, 0.8], "two": [0.5, 0.6]}
    one = claims.weaker_modality(curves([[0.4, 0.4]] * 2, heads=heads, names=PAIR))
    assert one is not None
    assert one.what == "bmmal against badge, two alone"
    assert one.difference.mean == pytest.approx(0.1)
    assert claims.weaker_modality(curves([[0.4, 0.4]] * 2, names=PAIR)) is None


def test_balance_is_how_much_narrower_the_gap_is_from_the_second_model_on() -> None:
    found = with_values(
        curves([[0.4, 0.4]] * 2, names=PAIR),
        contribution__one=[[9, 0.8, 0.7], [0, 0.6, 0.5]],
        contribution__two=[[0, 0.2, 0.3], [9, 0.4, 0.5]],
    )
    one = claims.balance(found)
    assert one is not None
    assert one.difference.mean == pytest.approx((0.6 + 0.4) / 2 - (0.2 + 0.0) / 2)
    assert claims.balance(with_values(found, contribution__two=[[0] * 3] * 2)) is not None
    only = {k: v for k, v in found.values.items() if k != "contribution:two"}
    assert claims.balance(replace(found, values=only)) is None
    assert claims.balance(replace(found, contenders=("badge", "grace"))) is None
    assert claims.balance(replace(found, contenders=("grace", "bmmal"))) is None


def test_the_choice_of_balance_is_of_all_rounds_that_chose() -> None:
    heads = {"one": [0.9, 0.8], "two": [0.5, 0.6]}
    found = with_values(
        curves([[0.4, 0.4]] * 2, heads=heads, names=PAIR),
        chosen__weight__two=[[0.1, 0.3, 9], [0.5, 0.6, 0]],
    )
    one = claims.choice_of_balance(found)
    assert one is not None
    assert one.difference.mean == pytest.approx(0.55 - 0.2)
    assert claims.choice_of_balance(replace(found, contenders=("badge", "x"))) is None
    assert claims.choice_of_balance(replace(found, contenders=("x", "bmmal"))) is None
    assert claims.choice_of_balance(curves([[0.4, 0.4]] * 2, heads=heads, names=PAIR)) is None
    assert claims.choice_of_balance(curves([[0.4, 0.4]] * 2, names=PAIR)) is None


def test_the_ablation_and_the_rules_name_the_better_first() -> None:
    names = ("grace_i", "grace_ir", "grace", "grace:pseudo_label=teacher")
    finals = [[0.2, 0.2], [0.4, 0.4], [0.8, 0.8], [0.6, 0.6]]
    parts = claims.ablation(curves(finals, names=names))
    assert [one.what.partition(",")[0] for one in parts] == [
        "grace_ir against grace_i",
        "grace against grace_ir",
    ]
    assert [one.difference.mean for one in parts] == pytest.approx([0.15, 0.3])
    assert claims.rules(curves(finals, names=names)) == []
    (rule,) = claims.rules(curves(finals, LOSS, names=names))
    assert rule.difference.mean == pytest.approx(-0.15), "grace's error is the larger"
    assert claims.against(curves(finals, names=names), "grace", ["random", "grace_i"])[0].p == 0
    assert claims.ablation(curves([[0.2, 0.2]], names=("grace",))) == []


def test_labels_saved_are_told_or_why_not() -> None:
    # Random reaches .8 with 20 labels; its curve is flat from there on.
    better = claims.saving(curves([[1.6, 1.6], [0.8, 0.8]], names=("grace", "random")), "grace")
    assert "grace needs about 15 labels, random itself 20 (saved 5" in better
    assert "interval 5 to 5; reached in 100% of resamples" in better
    never = claims.saving(curves([[0.4, 0.4], [0.8, 0.8]], names=("grace", "random")), "grace")
    assert "never reaches random's final value" in never
    flat = claims.saving(curves([[0.4, 0.4], [0.0, 0.0]], names=("grace", "random")), "grace")
    assert "does not rise" in flat
    number = curves([[0.4, 0.4], [0.8, 0.8]], LOSS, names=("grace", "random"))
    assert claims.saving(number, "entropy") == ""
    assert "does not rise" in claims.saving(number, "grace"), "an error that grows is no gain"


def test_readings_are_counted() -> None:
    def made(p: float, mean: float) -> Finding:
        return Finding("toy", "what", Interval(mean, mean, mean), p)

    listed = [made(0.01, 1), made(0.01, 1), made(0.5, 1), made(0.01, -1)]
    assert evidence_claims._counted(listed) == (
        "as claimed in 2, within the noise in 1, the opposite in 1 of 4 comparisons"
    )
    assert evidence_claims._counted(listed[:2]) == "as claimed in 2 of 2 comparisons"
    assert evidence_claims._counted([]) == "nothing run yet speaks to it"


def test_in_short_counts_settings_that_are_surely_better_or_worse() -> None:
    names = ("bmmal", "random", "grace")
    found = curves([[0.8, 0.81], [0.4, 0.41], [0.1, 0.11]], names=names)
    text = evidence_claims.in_short([found, found], [rows(found), rows(found)])
    assert "bmmal against random" in text
    lines = {line.split()[1]: line for line in text.splitlines() if "corrected for all" in line}
    assert "surely better in 2 of 2 settings, surely worse in 0" in lines["bmmal"]
    assert "surely better in 0 of 2 settings, surely worse in 2" in lines["grace"]
    assert "Labels saved on numbers" not in text
    number = curves([[0.2, 0.2], [0.4, 0.4]], LOSS, names=("grace", "random"))
    assert "Labels saved on numbers" in evidence_claims.in_short([number], [rows(number)])


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        ({"teacher": (0.02, 0.021, 0.022), "model": (0.01, 0.011, 0.012)}, "support the default"),
        ({"teacher": (0.02, 0.021, 0.022), "model": (-0.5, 0.0, 0.5)}, "do not decide"),
        (
            {"teacher": (0.02, 0.021, 0.022), "model": (-0.01, -0.011, -0.012)},
            "speak against the default",
        ),
    ],
)
def test_rules_are_read_over_the_settings(leads: dict[str, Sequence[float]], said: str) -> None:
    findings = [
        Finding(
            f"set {number}",
            f"grace against grace:pseudo_label={rule}, all modalities",
            Interval(mean, mean, mean),
            0.05 if 0 < abs(mean) < 0.1 else 0.5,
        )
        for rule, means in leads.items()
        for number, mean in enumerate(means)
    ]
    text = evidence_claims._rules_read(findings)
    assert said in text
    better = sum(0 < mean < 0.1 for means in leads.values() for mean in means)
    worse = sum(-0.1 < mean < 0 for means in leads.values() for mean in means)
    assert f"In {len(findings)} comparisons" in text
    assert f"better in {better}, worse in {worse} and not to be told apart in " in text
    assert f"{np.mean(leads['teacher']):+.4f} on `teacher`" in text


def test_dominance_compares_the_last_models_and_what_they_chose_by() -> None:
    heads = {"one": [0.9, 0.8], "two": [0.5, 0.6]}
    names = ("bmmal", "random")
    plain = with_values(
        curves([[0.5, 0.5]] * 2, heads=heads, names=names),
        contribution__one=[[0, 0, 0.75], [0, 0, 0.7]],
        contribution__two=[[1, 1, 0.25], [1, 1, 0.3]],
        chosen__weight__one=[[0.2, 0.4, 9], [0.5, 0.5, 0]],
        pool__weight__one=[[0.1, 0.1, 0], [0.5, 0.5, 9]],
        chosen__weight__two=[[0.5, 0.5, 9], [0.2, 0.2, 9]],
        pool__weight__two=[[0.5, 0.5, 0], [0.3, 0.4, 0]],
    )
    plain = replace(plain, plan=replace(plain.plan, name="avdigits-official"))
    other = with_values(plain, contribution__one=[[0, 0, 0.1]] * 2)
    other = replace(other, plan=replace(other.plan, name="avdigits-official-noisy"))
    text = evidence_claims.dominance([plain, other])
    assert "avdigits-official (Toy): one contributes most (one 0.70, two 0.30)." in text
    assert "avdigits-official-noisy (Toy): two contributes most (one 0.10, two 0.30)." in text
    rows = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in text.splitlines()
        if line.startswith("| avdigits")
    ]
    assert rows[:2] == [
        ["avdigits-official", "random", "0.800", "0.600", "0.70", "0.30", "+0.0000", "-0.1500"],
        ["avdigits-official", "bmmal", "0.900", "0.500", "0.75", "0.25", "+0.2000", "+0.0000"],
    ]
    assert len(rows) == 4
    assert evidence_claims.dominance([plain]) == ""
