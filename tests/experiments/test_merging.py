"""Several replays in one page: what is summed, marked and said, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments import accept, merging, summary
from experiments.accept import Moment
from experiments.curves import Curves
from experiments.dataset import DataError
from experiments.figures import matrices
from experiments.plan import RANDOM
from experiments.statistics import Interval, Saving
from experiments.summary import Row
from strategies.pool import TargetKind
from tests.experiments.toy import NAMES, curves


def row(name: str, mean: float, low: float, high: float, p_holm: float = 0.5) -> Row:
    """Return a contender's row with a gain."""
    zero, none = Interval(0, 0, 0), Saving(None, 20, 0, 0, 0, 0)
    return Row(name, zero, 0, Interval(mean, low, high), p_holm, p_holm, none, None, 1)


def test_leads_are_in_points_and_marked_by_how_sure_they_are() -> None:
    found = [curves([[0.5, 0.6]] * 3), curves([[0.5, 0.6]] * 2, names=("random", "coreset"))]
    found[1] = replace(found[1], plan=replace(found[1].plan, name="other"))
    rows = [
        [
            row("grace", 0.02, 0.01, 0.03, 0.0999),
            row("random", 0, 0, 0),
            row("entropy", -0.012, -0.02, -0.01),
        ],
        [row("coreset", 0.5, -0.1, 1.1, 0.1), row("random", 0, 0, 0)],
    ]
    table = merging.leads(found, rows)
    assert list(table.header) == ["strategy", "toy", "other"]
    assert [list(line) for line in table.rows] == [
        ["grace", "+2.00*", ""],
        ["random", "+0.00", "+0.00"],
        ["entropy", "-1.20·", ""],
        ["coreset", "", "+50.00"],
    ]


def test_wins_are_summed_over_the_contenders_that_all_have() -> None:
    rng = np.random.default_rng(0)

    def made(names: tuple[str, ...], best: str) -> Curves:
        finals = 0.2 + 0.01 * rng.random((len(names), 4))
        finals[names.index(best)] += 0.5
        return curves(finals, names=names)

    one = made(NAMES, "grace")
    other = made(("random", "coreset", "grace"), "grace")
    assert merging.shared([one, other]) == ["grace", "random"]
    sums = merging.summed_wins([one, other], ["random", "grace"])
    (title,) = matrices.win_tables(one)
    assert sums[title][1, 0] == 2.0
    assert sums[title][0, 1] == 0.0
    with pytest.raises(DataError, match="no strategy in common"):
        merging.shared([one, curves([[0.5, 0.6]], names=("coreset",))])


def test_the_best_balance_comes_first_and_is_named() -> None:
    found = [curves([[0.5, 0.6]] * 3)] * 2
    better, worse = (0.2, 0.1, 0.3, 0.01), (-0.2, -0.3, -0.1, 0.01)
    both = [row("grace", *better), row("entropy", *better), row(RANDOM, 0, 0, 0)]
    mixed = [row("grace", *worse), row("entropy", 0.2, 0.1, 0.3), row(RANDOM, 0, 0, 0)]
    table = merging.standings(found, [both, mixed])
    assert [line[0] for line in table.rows] == ["entropy", "grace"]
    said = merging._verdict(found, [both, mixed])
    assert said.startswith(
        "entropy is surely better than random in 1 of 2 settings, surely worse in 0 and probably "
        "better in 1 more"
    )
    nobody = [[row("grace", 0.2, 0.1, 0.3), row(RANDOM, 0, 0, 0)]]
    two = [curves([[0.5, 0.6]] * 2, names=("grace", RANDOM))]
    assert "No strategy is surely better" in merging._verdict(two, nobody)
    alone = [curves([[0.5, 0.6]], names=(RANDOM,))]
    assert "nothing to compare" in merging._verdict(alone, [[row(RANDOM, 0, 0, 0)]])


def saving(mean: float, saving: Saving, kind: TargetKind = TargetKind.CLASSIFICATION) -> str:
    """Say what a lead saves where random's curve rises from 0 to .4."""
    found = curves([[0.4, 0.4], [0.4, 0.4]], kind, names=("grace", "random"))
    return summary._saving_words(found, replace(row("grace", mean, 0, 1), saving=saving), RANDOM)


def test_what_is_saved_is_told_in_labels() -> None:
    fewer = Saving(12.4, 20, 7.6, 2, 9, 1.0)
    assert "needs about 12 labels, random itself 20: 8 fewer (90%" in saving(0.1, fewer)
    assert "labels saved 2 to 9)." in saving(0.1, fewer)
    more = Saving(25, 20, -5, -9, 0, 1.0)
    assert "5 more" in saving(0.1, more)
    assert "may be chance" in saving(0.1, more), "an interval that touches zero"
    assert ": as many (" in saving(0.1, Saving(20, 20, 0.4, -1, 1, 1.0))
    assert "does not reach random's final value" in saving(0.1, Saving(None, 20, 0, 0, 0, 0.0))
    assert saving(0.0, fewer) == ""
    assert "harm avoided" in saving(0.1, fewer, TargetKind.REGRESSION), "its error grows"


def test_few_repetitions_are_read_with_care() -> None:
    found = curves([[0.5, 0.6]] * 3)
    ahead = [row("grace", 0.02, 0.01, 0.03, 0.5), row(RANDOM, 0, 0, 0)]
    said = summary.verdict(found, ahead)
    assert said.startswith("grace is ahead of random by 0.020 in")
    assert "may well be chance" in said
    assert "With 2 repetitions, read all of this with care." in said
    five = curves([[0.5, 0.6, 0.5, 0.6, 0.5]] * 3)
    assert "with care" not in summary.verdict(five, ahead)
    noise = summary.verdict(five, [row("grace", 0.02, -0.01, 0.03), row(RANDOM, 0, 0, 0)])
    assert "No strategy is distinguishable from random here: the best, grace, leads by" in noise
    behind = [*ahead, row("entropy", -0.02, -0.03, -0.01, 0.5)]
    assert "Probably worse than random: entropy." in summary.verdict(five, behind)


def test_promises_of_acceptance_are_counted_for_each_number_of_labels() -> None:
    nothing = Moment(500, 40, 0.6, 0.0, float("nan"))
    kept = Moment(500, 50, 0.8, 0.2, accept.ERROR)
    broken = Moment(500, 60, 0.7, 0.6, accept.ERROR + 0.02)
    text = accept.report("set", [nothing, kept, broken, replace(kept, labels=800)])
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines()[4:]]
    assert rows == [
        ["500", "50", "0.700", "2 of 3", "40%", "0.060", "2 of 3 (67%)"],
        ["800", "50", "0.800", "1 of 1", "20%", "0.050", "1 of 1 (100%)"],
    ]
    nobody = accept.report("set", [nothing]).splitlines()[-1]
    assert nobody == "| 500 | 40 | 0.600 | 0 of 1 |  |  | 1 of 1 (100%) |"
