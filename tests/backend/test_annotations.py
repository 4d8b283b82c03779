"""Annotation results <-> label arrays and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.labelstudio.annotations import label_arrays, read_task
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.config import parse

SINGLE = parse(
    '<View><Text name="t" value="$t"/><Choices name="c" toName="t">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
SEVERAL = parse(
    '<View><Text name="t" value="$t"/><Choices name="c" toName="t" choice="multiple">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
EACH = parse(
    '<View><Text name="t" value="$t"/><Image name="i" value="$i"/>'
    '<Choices name="c" toName="t,i" choice="multiple"><Choice value="A"/><Choice value="B"/>'
    '</Choices><Choices name="d" toName="t" choice="multiple"><Choice value="A"/>'
    '<Choice value="B"/></Choices></View>'
)
RATING = parse(
    '<View><Text name="t" value="$t"/><Rating name="r" toName="t" maxRating="5"/></View>'
)


def said(*choices: str, **more: Any) -> dict[str, Any]:
    return {
        "result": [{"from_name": "c", "type": "choices", "value": {"choices": list(choices)}}],
        **more,
    }


def rated(stars: float) -> dict[str, Any]:
    return {"result": [{"from_name": "r", "type": "rating", "value": {"rating": stars}}]}


def test_skipped_empty_and_foreign_annotations_say_nothing() -> None:
    for useless in (
        [],
        [said("A", was_cancelled=True)],
        [{"result": []}],
        [said("gone")],
        [{"result": [{"from_name": "other", "value": {"choices": ["A"]}}]}],
        [{"result": ["garbage", None, {"from_name": "c", "value": 3}]}],
    ):
        assert read_task({"id": 1, "annotations": useless}, SINGLE) is None


def test_majority_wins_and_ground_truth_wins_over_it() -> None:
    votes = [said("A"), said("B"), said("B")]
    truth = [*votes, said("A", ground_truth=True)]
    tasks = [{"id": 1, "annotations": votes}, {"id": 2, "annotations": truth}]
    labelled = [found for task in tasks if (found := read_task(task, SINGLE))]
    assert label_arrays(labelled, SINGLE.schema.targets)["c"].tolist() == [1, 0]


def test_disagreement_is_kept_as_shares_by_option() -> None:
    votes = [said("A"), said("B"), said("B"), said("B", was_cancelled=True)]
    tasks = [{"id": 1, "annotations": votes}, {"id": 2, "annotations": [said("A")]}]
    labelled = [found for task in tasks if (found := read_task(task, SINGLE))]
    shares = label_arrays(labelled, SINGLE.schema.targets, soft=True)["c"]
    np.testing.assert_allclose(shares, [[1 / 3, 2 / 3], [1, 0]])
    several = {"id": 1, "annotations": [said("A", "B"), said("A"), said()]}
    labelled = [found for task in [several] if (found := read_task(task, SEVERAL))]
    shares = label_arrays(labelled, SEVERAL.schema.targets, soft=True)["c"]
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3]])


def test_the_stamp_follows_the_labels_not_their_order() -> None:
    first = read_task({"id": 1, "annotations": [said("A"), said("B")]}, SINGLE)
    same = read_task({"id": 1, "annotations": [said("B"), said("A")]}, SINGLE)
    other = read_task({"id": 1, "annotations": [said("B"), said("B")]}, SINGLE)
    stamps = [found.stamp for found in (first, same, other) if found]
    assert stamps[0] == stamps[1] != stamps[2]


def test_multilabel_majority_per_class_and_an_explicit_nothing() -> None:
    tasks = [
        {"id": 1, "annotations": [said("A", "B"), said("A")]},
        {"id": 2, "annotations": [said()]},
    ]
    labelled = [found for task in tasks if (found := read_task(task, SEVERAL))]
    assert label_arrays(labelled, SEVERAL.schema.targets)["c"].tolist() == [[1, 1], [0, 0]]


def test_a_submitted_annotation_without_any_label_says_that_none_applies() -> None:
    task = {"id": 1, "annotations": [said("A"), {"result": []}, {"result": []}]}
    found = read_task(task, SEVERAL)
    assert found is not None
    assert label_arrays([found], SEVERAL.schema.targets)["c"].tolist() == [[0, 0]]
    skipped = {"result": [], "was_cancelled": True}
    for useless in (skipped, {"result": None}):
        assert read_task({"id": 1, "annotations": [useless]}, SEVERAL) is None


def test_an_empty_control_for_one_modality_says_that_none_applies_to_it() -> None:
    assert {t.name for t in EACH.schema.targets} == {"c", "d"}
    found = read_task({"id": 1, "annotations": [said("A")]}, EACH)
    assert found is not None
    assert found.values == {"c": (("A",),), "d": ((),)}


def test_numbers_are_averaged() -> None:
    labelled = read_task({"id": 1, "annotations": [rated(2), rated(5)]}, RATING)
    assert labelled is not None
    assert label_arrays([labelled], RATING.schema.targets)["r"].tolist() == [3.5]


def test_a_prediction_carries_its_probability() -> None:
    (item,) = prediction_result(SINGLE, {"c": np.array([[0.25, 0.75]])}, 0)
    assert item == {
        "from_name": "c",
        "to_name": "t",
        "type": "choices",
        "score": 0.75,
        "value": {"choices": ["B"]},
    }


def test_a_rating_stays_inside_its_stars() -> None:
    values = [prediction_result(RATING, {"r": np.array([v])}, 0)[0] for v in (-3.0, 3.4, 9.0)]
    assert [item["value"]["rating"] for item in values] == [1, 3, 5]
