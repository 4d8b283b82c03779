"""Every task says why it is where it is, with its own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from backend.rounds.why import Alone, novelty, sentences, without_model
from model.schema import Target
from strategies import Pool, TargetKind

DIGIT = Target("digit", TargetKind.CLASSIFICATION, ("3", "8", "9"))
NOBODY = np.zeros(0, np.int64)
NONE = Alone(NOBODY, {}, np.zeros((0, 0), bool))


def test_modalities_that_disagree_say_so() -> None:
    outputs = np.array([[0.4, 0.5, 0.1]] * 2)
    said = {
        "sound": np.array([[0.61, 0.3, 0.09], [0.2, 0.7, 0.1]]),
        "picture": np.array([[0.3, 0.58, 0.12], [0.1, 0.8, 0.1]]),
    }
    alone = Alone(np.array([0, 1]), said, np.array([[True, True], [True, True]]))
    first, second = sentences(DIGIT, outputs, NOBODY, alone, np.array([0.96, 0.5]))
    assert first == (
        "Sound says 3 (.61), picture says 8 (.58), together 8 (.50); "
        "unlike what is labelled: farther off than 96% of it."
    )
    assert second == "Unsure between 8 (.50) and 3 (.40)."
    absent = Alone(np.array([0, 1]), said, np.array([[True, False], [True, True]]))
    first, _ = sentences(DIGIT, outputs, NOBODY, absent, np.zeros(2))
    assert first == "Unsure between 8 (.50) and 3 (.40)."


def test_chance_and_certainty_say_so() -> None:
    outputs = np.array([[0.02, 0.97, 0.01], [0.9, 0.1, 0.0]])
    found = sentences(DIGIT, outputs, np.array([0]), NONE, np.zeros(0))
    assert found == [
        "Drawn by chance, to measure how often the model is right; the model says 8 (.97).",
        "The model says 3 (.90).",
    ]


def test_what_is_as_likely_is_named_in_the_order_of_the_classes() -> None:
    outputs = np.array([[0.2, 0.4, 0.4], [0.5, 0.0, 0.5], [0.44, 0.25, 0.31]])
    assert sentences(DIGIT, outputs, NOBODY, NONE, np.zeros(0)) == [
        "Unsure between 8 (.40) and 9 (.40).",
        "Unsure between 3 (.50) and 9 (.50).",
        "Unsure between 3 (.44) and 9 (.31).",
    ]
    only = Target("digit", TargetKind.CLASSIFICATION, ("3",))
    found = sentences(only, np.ones((1, 1)), NOBODY, NONE, np.zeros(0))
    assert found == ["The model says 3 (1.00)."]


def test_other_questions_have_sentences() -> None:
    several = Target("tags", TargetKind.MULTILABEL, ("x", "y"))
    outputs = np.array([[0.52, 0.9], [0.9, 0.1], [0.1, 0.1]])
    assert sentences(several, outputs, NOBODY, NONE, np.zeros(0)) == [
        "Unsure about x (.52).",
        "The model says x.",
        "The model says none of them.",
    ]
    says = {"a": np.array([[0.5, 0.1]]), "b": np.array([[0.49, 0.9]])}
    alone = Alone(np.array([0]), says, np.ones((1, 2), bool))
    found = sentences(several, np.array([[0.5, 0.5]]), NOBODY, alone, np.zeros(1))
    assert found == ["A says x, b says y, together x and y."]
    number = Target("size", TargetKind.REGRESSION, low=0, high=10)
    alone = Alone(
        np.array([0]), {"a": np.array([1.0]), "b": np.array([9.0])}, np.ones((1, 2), bool)
    )
    found = sentences(number, np.array([5.0, 2.25]), NOBODY, alone, np.zeros(1))
    assert found == ["A says 1, b says 9, together 5.", "The model says 2.25."]


@pytest.mark.parametrize(
    ("low", "high", "said", "told"),
    [
        (0, 10, (2.0, 4.5), False),  # a quarter of the range is no disagreement
        (0, 10, (2.0, 4.51), True),
        (0, None, (1.0, 9.0), True),
        (None, None, (1.0, 9.0), False),  # of no range, nobody knows what is far
    ],
)
def test_numbers_disagree_by_more_than_a_quarter_of_the_range(
    low: float | None, high: float | None, said: tuple[float, float], told: bool
) -> None:
    number = Target("size", TargetKind.REGRESSION, (), low, high)
    says = {name: np.array([one]) for name, one in zip("ab", said, strict=True)}
    alone = Alone(np.array([0]), says, np.ones((1, 2), bool))
    (found,) = sentences(number, np.array([3.0]), NOBODY, alone, np.zeros(1))
    assert found == (
        f"A says {said[0]:.3g}, b says {said[1]:.3g}, together 3." if told else "The model says 3."
    )


def test_before_there_is_a_model() -> None:
    found = without_model(3, np.array([2]), np.array([1]), True)
    assert found[2].startswith("Covers a part of the pool")
    assert found[1].startswith("Drawn by chance, to measure")
    assert "covers the pool already" in found[0]
    assert set(without_model(2, np.array([0]), NOBODY, False)) == {
        "Drawn by chance: nothing is known of the tasks yet."
    }


def test_what_is_far_from_every_label_is_new() -> None:
    rng = np.random.default_rng(0)
    known = {"m": rng.normal(size=(50, 4))}
    pool = Pool(
        size=2,
        modalities=("m",),
        features={"m": np.array([[20.0, 0, 0, 0], known["m"][0]])},
        labelled_features=known,
    )
    assert novelty(pool, np.array([0, 1])).tolist() == [1, 0]
    assert novelty(Pool(size=2), np.array([0, 1])).tolist() == [0, 0]


def test_what_is_new_is_told_far_from_zero_as_well() -> None:
    """Differences of float32 squares would be rounding alone there."""
    rng = np.random.default_rng(0)
    known = (5000 + rng.normal(size=(50, 4))).astype(np.float32)
    new = known[:2] + np.array([[0, 0, 0, 0], [20, 0, 0, 0]], np.float32)
    pool = Pool(size=2, modalities=("m",), features={"m": new}, labelled_features={"m": known})
    assert novelty(pool, np.array([0, 1])).tolist() == [0, 1]
    moved = Pool(
        size=50,
        modalities=("m",),
        features={"m": known + np.float32(0.5)},
        labelled_features={"m": known},
    )
    near = Pool(
        size=50,
        modalities=("m",),
        features={"m": known - 5000 + np.float32(0.5)},
        labelled_features={"m": known - 5000},
    )
    rows = np.arange(50)
    np.testing.assert_array_equal(novelty(moved, rows), novelty(near, rows))
