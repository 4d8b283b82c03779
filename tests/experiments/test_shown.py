"""What tables and figures of the papers print, from replays worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.curves import Curves
from experiments.dataset import DataError
from experiments.papers import __main__ as papers
from experiments.papers import numbers, shown
from experiments.papers.runs import RUNS
from experiments.papers.shown import Shown
from model.metrics import MAIN_METRIC
from strategies.pool import TargetKind
from tests.experiments.conftest import make_replay
from tests.experiments.toy import curves, with_values

NAMES = ("badge", "bmmal")
HEADS = {"one": [0.9, 0.8], "two": [0.5, 0.6]}


@pytest.fixture
def found() -> Curves:
    """Return a replay of two strategies with all that the papers' figures need."""
    return with_values(
        curves([[0.4, 0.6], [0.8, 0.8]], heads=HEADS, names=NAMES),
        contribution__one=[[0.75, 0.5, 0.5], [0.5, 0.25, 0.5]],
        contribution__two=[[0.25, 0.5, 0.5], [0.5, 0.75, 0.5]],
        chosen__dominance=[[0.5, 0.7, 9], [0.25, 0.25, 9]],
        pool__dominance=[[0.25, 0.25, 0], [0.25, 0.5, 0]],
        chosen__contribution__one=[[0.5, 0.5, 9], [0.5, 0.5, 9]],
        pool__contribution__one=[[0.25, 0.75, 0], [0.25, 0.25, 0]],
        chosen__contribution__two=[[0.5, 0.5, 9], [0.5, 0.5, 9]],
        pool__contribution__two=[[0.75, 0.75, 0], [0.25, 0.25, 0]],
        chosen__dominated_weight__two=[[0.25, np.nan, 9], [0.5, 0.75, 9]],
        chosen__ease=[[0.25, 0.5, 9], [0.5, 0.75, 9]],
        pool__ease=[[0.25, 0.25, 0], [0.25, 0.25, 0]],
        within__one__a=[[0, 0, 0.5], [9, 9, 0.25]],
        within__two__a=[[0, 0, 0.25], [9, 9, 0.5]],
        within__two__b=[[0, 0, 0.75], [9, 9, 0.25]],
    )


def said(show, found: Curves, to: Path) -> list[list[str]]:
    """Return the words of every line below the replay's title."""
    lines = show(Shown("figure", {"run": found}, {"run": to}, {}, to))
    assert lines[0] == f"Toy, {len(found.seeds)} seeds"
    return [line.split() for line in lines[1:]]


def test_contributions_are_printed_the_stronger_modality_first(
    found: Curves, tmp_path: Path
) -> None:
    assert said(shown.contributions, found, tmp_path) == [
        ["one", "10", "20", "30"],
        ["badge", "0.750", "0.500", "0.500"],
        ["bmmal", "0.500", "0.250", "0.500"],
        ["two", "10", "20", "30"],
        ["badge", "0.250", "0.500", "0.500"],
        ["bmmal", "0.500", "0.750", "0.500"],
    ]
    assert (tmp_path / "figure-run.png").exists()


def test_gaps_are_the_largest_less_the_smallest(found: Curves, tmp_path: Path) -> None:
    lines = said(shown.contribution_gaps, found, tmp_path)
    assert lines[1:] == [
        ["badge", "0.500", "0.000", "0.000"],
        ["bmmal", "0.000", "0.500", "0.000"],
    ]


def test_what_was_chosen_has_no_last_round(found: Curves, tmp_path: Path) -> None:
    lines = said(shown.weak_weights, found, tmp_path)
    assert lines[0][-2:] == ["10", "20"]
    assert lines[1:] == [["badge", "0.250", "nan"], ["bmmal", "0.500", "0.750"]]
    lines = said(shown.easiness, found, tmp_path)
    assert [line[-2:] for line in lines] == [
        *(["10", "20"], ["0.250", "0.500"], ["0.500", "0.750"]),
        *(["10", "20"], ["0.000", "0.250"], ["0.250", "0.500"]),
    ]


def test_guidelines_compare_the_choice_with_its_pool_over_all_rounds_that_chose(
    found: Curves, tmp_path: Path
) -> None:
    lines = said(shown.guidelines, found, tmp_path)
    assert lines[1:] == [
        ["badge", "+0.3500", "+0.0000", "-0.2500"],
        ["bmmal", "-0.1250", "+0.2500", "+0.2500"],
    ]


def test_class_gains_are_ours_less_badges_by_the_weaker_modality(
    found: Curves, tmp_path: Path
) -> None:
    assert said(shown.class_gains, found, tmp_path) == [
        ["class", "one", "two"],
        ["a", "-0.250", "+0.250"],
        ["b", "+nan", "-0.500"],
    ]
    with pytest.raises(DataError, match="replay both"):
        said(shown.class_gains, replace(found, contenders=("badge", "grace")), tmp_path)


def test_the_ten_classes_are_those_of_the_largest_gaps(found: Curves, tmp_path: Path) -> None:
    gaps = {f"c{n:02}": (-1) ** n * n / 100 for n in range(12)}
    more = {f"within:two:{name}": np.zeros((2, 2, 3)) for name in gaps}
    for name, gap in gaps.items():
        more[f"within:two:{name}"][1, :, -1] = gap
    values = {k: v for k, v in found.values.items() if not k.startswith("within")}
    lines = said(shown.class_gains, replace(found, values={**values, **more}), tmp_path)
    order = [line[0] for line in lines[1:]]
    assert order == [f"c{n:02}" for n in (10, 8, 6, 4, 2, 3, 5, 7, 9, 11)]


def test_wins_are_summed_over_the_sets_with_their_averages(found: Curves, tmp_path: Path) -> None:
    one = curves([[0.4, 0.41], [0.8, 0.8]], names=NAMES)
    lines = shown.pairwise_wins(Shown("figure", {"a": one, "b": one}, {}, {}, tmp_path))
    assert [line.split() for line in lines[1:4]] == [
        ["badge", "0.00", "0.00"],
        ["bmmal", "2.00", "0.00"],
        ["column", "average", "1.00", "0.00"],
    ]
    assert lines[-1].endswith("Largest value: 2")
    other = replace(one, contenders=("bmmal", "badge"))
    with pytest.raises(DataError, match="different strategies"):
        shown.pairwise_wins(Shown("figure", {"a": one, "b": other}, {}, {}, tmp_path))


def test_learning_curves_are_drawn_and_the_last_round_printed(
    found: Curves, tmp_path: Path
) -> None:
    last = {name: found.of("multimodal") for name in ("accuracy", "f1")}
    lines = said(shown.learning_curves, replace(found, values={**found.values, **last}), tmp_path)
    assert lines[1][:3] == ["badge", "30", "0.500±0.141"]
    assert lines[2][:3] == ["bmmal", "30", "0.800±0.000"]
    assert {path.name for path in tmp_path.iterdir()} == {
        f"figure-run.{kind}" for kind in ("png", "csv", "parquet")
    }


def test_scores_are_drawn_for_each_of_graces_metrics(tmp_path: Path) -> None:
    grid = np.full((2, 2, 3), 0.25)
    found = curves([[1, 1]] * 2, TargetKind.REGRESSION, names=NAMES)
    found = replace(found, values=dict.fromkeys(numbers.REGRESSION.values(), grid))
    lines = said(shown.score_curves, found, tmp_path)
    assert lines[0] == ["strategy", "labels", *numbers.REGRESSION]
    assert (tmp_path / "figure-run.png").exists()


def test_what_was_not_measured_is_named(found: Curves, tmp_path: Path) -> None:
    less = {k: v for k, v in found.values.items() if k != "contribution:two"}
    with pytest.raises(DataError, match="did not measure 'contribution:two'"):
        said(shown.contributions, replace(found, values=less), tmp_path)


def test_signs_are_shares_of_negative_neutral_and_positive() -> None:
    assert shown._signs(np.array([-0.5, 0.0, 0.1, 1.0])) == ["0.25", "0.25", "0.50"]


def test_tables_have_means_and_deviations_over_seeds_and_a_row_of_all_labels() -> None:
    grid = np.array([[[9, 9, 0.5], [9, 9, 0.7]], [[9, 9, 0.4], [9, 9, 0.4]]])
    kind = TargetKind.REGRESSION
    values = dict.fromkeys(numbers.REGRESSION.values(), grid)
    assert MAIN_METRIC[kind] in values
    found = replace(curves([[1, 1]] * 2, kind, names=NAMES), values=values)
    full = {metric: [0.1, 0.2, 0.6] for metric in values}
    table = numbers.table(found, full, 999).to_pydict()
    assert table["strategy"] == [*NAMES, "all labels"]
    assert table["labels"] == [30, 30, 999]
    for title in numbers.REGRESSION:
        assert table[title] == pytest.approx([0.6, 0.4, 0.3])
        assert table[f"{title} sd"] == pytest.approx([0.02**0.5, 0, 0.07**0.5])
    one = replace(found, values=dict.fromkeys(values, grid[:, :1]))
    assert np.isnan(numbers.table(one).to_pydict()["MAE sd"]).all()


def test_columns_of_classes_have_each_modalitys_own() -> None:
    found = curves([[0.4, 0.6]] * 2, heads=HEADS, names=NAMES)
    assert numbers.columns_of(found) == {
        **numbers.CLASSES,
        "one macro Top-1": "macro_accuracy:one",
        "two macro Top-1": "macro_accuracy:two",
    }
    alone = curves([[0.4, 0.6]] * 2, names=NAMES)
    assert numbers.columns_of(alone) == numbers.CLASSES


def test_a_replay_of_the_same_sizes_is_found_prepared(tmp_path: Path) -> None:
    folder = make_replay(tmp_path, contenders=("random", "bmmal"), run=False)
    run = replace(
        RUNS["food101"], initial=10, batch=8, rounds=4, seeds=2, contenders="random,bmmal"
    )
    assert papers.prepare(run, "food101:nowhere", folder) == []
    for change in (
        {"initial": 9},
        {"batch": 9},
        {"rounds": 5},
        {"seeds": 3},
        {"contenders": "random"},
    ):
        with pytest.raises(DataError, match="nowhere"):
            papers.prepare(replace(run, **change), "food101:nowhere", folder)  # type: ignore[arg-type]
