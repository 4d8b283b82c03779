"""What experiments print beside a mean: the standard error over repetitions, or the t interval."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from experiments import audit, class_names, frozen, mislabelled, questions
from model.measuring import ENOUGH
from model.stopping import Step

# Of three values 1, 2, 6: mean 3, variance 7, standard error sqrt(7 / 3), t of two degrees 2.92.
VALUES = np.array([1.0, 2.0, 6.0])
ERROR = (7 / 3) ** 0.5


def numbers(line: str) -> list[float]:
    """Return what looks like a number."""
    return [float(found) for found in re.findall(r"[-+]?\d*\.\d+|[-+]?\d+", line)]


def test_questions_tell_how_far_learning_together_is_from_learning_alone() -> None:
    line = questions._row("digit", VALUES / 100, np.zeros(3))
    together, alone, gap, low, high = numbers(line)
    assert (together, alone, gap) == (0.03, 0.0, 0.03)
    assert (low, high) == pytest.approx((0.03 - 0.0292 * ERROR, 0.03 + 0.0292 * ERROR), abs=0.0006)
    assert questions._row("digit", np.zeros(3), VALUES / 100).count("-0.0") >= 2


def test_order_of_untouched_models_leads_by_the_mean_over_rounds() -> None:
    lead = np.stack([VALUES / 100, 3 * VALUES / 100], axis=1)  # (E, R); the mean is twice VALUES
    found = numbers(frozen._line("x", np.full((3, 2), 0.5), lead))
    assert found == pytest.approx([0.5, 0.5, 6.0, 2 * ERROR], abs=0.06)


def test_class_names_lead_by_the_mean_over_rounds_for_each_learner() -> None:
    lead = np.zeros((3, 2, 2))
    lead[..., 0] = VALUES[:, None] / 100
    found = numbers(class_names._line("x", np.full((3, 2, 2), 0.25), lead))
    assert found == pytest.approx([0.25] * 4 + [3.0, ERROR, 0.0, 0.0], abs=0.06)


def test_mislabelled_shows_the_mean_over_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[float, int]] = []

    def one(data: object, share: float, seed: int) -> tuple[float, float, float]:
        tried.append((share, seed))
        return VALUES[seed] / 10, 0.5, 0.25

    class Named:
        name = "made"

    monkeypatch.setattr(mislabelled, "one", one)
    rows = [line for line in mislabelled.report([Named()], 3).splitlines() if "made" in line]  # type: ignore[list-item]
    assert tried == [(share, seed) for share in (0.05, 0.1) for seed in range(3)]
    assert [numbers(row) for row in rows] == [
        pytest.approx([share, 30, 10 * ERROR, 50, 25], abs=0.06) for share in (5, 10)
    ]


def test_the_cost_of_labels_by_chance_is_told_for_whole_hundreds() -> None:
    moment = audit.Moment(0.0, 100, 0.0, 0.5, 0, ())
    found = [replace(moment, truth=value / 10) for value in VALUES]
    found += [replace(moment, share=0.1, truth=0.75), replace(moment, labels=150, truth=0.1)]
    (row,) = [line for line in audit._cost(found).splitlines() if re.match(r"\W*\d+ ", line)]
    told = numbers(row)
    assert told[:4] == pytest.approx([100, 0.3, ERROR / 10, 0.75], abs=0.0001)
    assert "nan" in row, "one replay has no error"


def test_intervals_hold_the_truth_ends_included() -> None:
    moment = audit.Moment(0.1, 100, 0.8, 0.7, 30, (0.8, 0.8, 0.9))
    found = [
        moment,  # at its lower end
        replace(moment, found=(0.7, 0.6, 0.8)),  # at its upper end
        replace(moment, found=(0.6, 0.5, 0.79)),  # below the truth
        replace(moment, found=(0.9, 0.81, 1.0)),  # above it
        replace(moment, found=(0.9, 0.7, 1.0), audited=200),
        replace(moment, found=()),  # too few to say anything
    ]
    rows = [numbers(line) for line in audit._coverage(found).splitlines() if line.startswith("|")]
    low, high = next(band for band in audit.BANDS if band[0] <= 30 <= band[1])
    (few,) = [row for row in rows if row[:2] == [low, high]]
    assert few[2:4] == [4, 50]
    widths = np.mean([0.1, 0.2, 0.29, 0.19]) / 2
    assert few[4:] == pytest.approx([widths, -0.05, -0.1], abs=0.0006)
    (whole,) = [row for row in rows if row[:2] == [5, 60]]
    assert "| all |" in audit._coverage(found)
    assert whole[2:] == pytest.approx(
        [np.mean([0.1, 0.2, 0.29, 0.19, 0.3]) / 2, -0.02, -0.1], abs=6e-4
    )


def test_a_hint_is_wrong_where_the_mean_curve_rose_by_more_than_the_tolerance() -> None:
    flat = Step(0, 1.0, 0.0)
    moment = audit.Moment(0.1, 0, 0.0, 0.0, 0, ())

    def replayed(*truth: float, audited: int) -> list[audit.Moment]:
        return [
            replace(moment, labels=20 * n, truth=value, audited=audited, step=flat if n else None)
            for n, value in enumerate(truth)
        ]

    # Of the third and fourth models something is left to rise; only the third's does by .02.
    known = replayed(0.5, 0.6, 0.70, 0.72, 0.72, audited=ENOUGH)
    unknown = replayed(0.5, 0.6, 0.70, 0.72, 0.72, audited=ENOUGH - 1)
    without = [replace(m, share=0.0) for m in known]
    said = audit._alarms([*known, *unknown, *without])
    assert "2 of 4 wrong by agreement alone; 1 of 2 wrong where the accuracy is known" in said
