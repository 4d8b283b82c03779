"""Annotation results <-> label arrays and predictions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.label_interface import LabelInterface

from backend.labelstudio.annotations import read_task, read_tasks
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.config import LabelConfig, parse
from backend.labelstudio.votes import label_arrays

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


# Labels are never invented -------------------------------------------------------------------

NESTED = parse(
    '<View><Text name="t" value="$t"/><Choices name="c" toName="t" allowNested="true">'
    '<Choice value="Sport"><Choice value="Ball"/></Choice><Choice value="Arts"><Choice value="Film"'
    ' alias="movie"/></Choice></Choices></View>'
)
TREE = """
<View><Text name="t" value="$t"/><Choices name="c" toName="t" choice="{choice}" allowNested="true">
<Choice value="Sport"><Choice value="Ball"/><Choice value="Ski"/></Choice>
<Choice value="Arts"><Choice value="Film" alias="movie"/></Choice></Choices></View>
"""
TAXONOMY = parse(
    '<View><Text name="t" value="$t"/><Taxonomy name="c" toName="t"><Choice value="X">'
    '<Choice value="Y"/></Choice><Choice value="Z"/></Taxonomy></View>'
)
PAIR = parse(
    '<View><Text name="a" value="$a"/><Text name="b" value="$b"/>'
    '<Pairwise name="c" toName="a,b"/></View>'
)
HIDDEN = parse(
    '<View><Text name="t" value="$t"/><View visibleWhen="choice-selected" whenTagName="x">'
    '<Choices name="c" toName="t" choice="multiple"><Choice value="A"/><Choice value="B"/>'
    "</Choices></View></View>"
)
BOXES = parse(
    '<View><Image name="i" value="$i"/><RectangleLabels name="c" toName="i"><Label value="A"/>'
    '<Label value="B"/></RectangleLabels><TextArea name="note" toName="i"/></View>'
)
FREE = parse('<View><Text name="t" value="$t"/><TextArea name="c" toName="t"/></View>')


def read(config: LabelConfig, *results: list[Any]) -> tuple[list[Any], Counter[str]]:
    """Return what is said about `c`, annotation by annotation, and what is not understood."""
    task = {"id": 1, "annotations": [{"result": result} for result in results]}
    answers = read_tasks([task], config)
    assert answers.annotated == 1
    labelled = read_task(task, config)
    assert ([labelled] if labelled else []) == answers.labelled
    return [*(labelled.values.get("c", ()) if labelled else ())], answers.unread


def item(**value: Any) -> dict[str, Any]:
    return {"from_name": "c", "to_name": "t", "value": value}


@pytest.mark.parametrize(
    ("config", "value", "expected"),
    [
        (SINGLE, {"choices": "A"}, "A"),
        (SEVERAL, {"choices": "A"}, ("A",)),
        (SEVERAL, {"choices": []}, ()),
        (NESTED, {"choices": [["Sport", "Ball"]]}, "Sport / Ball"),
        (NESTED, {"choices": ["Ball"]}, "Sport / Ball"),
        (NESTED, {"choices": [["Arts", "movie"]]}, "Arts / movie"),
        (NESTED, {"choices": [["Arts", "Film"]]}, "Arts / movie"),
        (NESTED, {"choices": [["Arts"]]}, "Arts"),
        (TAXONOMY, {"taxonomy": [["X", "Y"]]}, ("X", "X / Y")),
        (TAXONOMY, {"taxonomy": [["Z"], ["X"]]}, ("Z", "X")),
        (PAIR, {"selected": "right"}, "right"),
        (BOXES, {"rectanglelabels": ["B"], "x": 1}, ("B",)),
    ],
)
def test_every_shape_of_an_answer_is_read(config: LabelConfig, value: Any, expected: Any) -> None:
    assert read(config, [item(**value)]) == ([expected], Counter())


@pytest.mark.parametrize(("said", "number"), [("4", 4.0), (4, 4.0), (3.5, 3.5)])
def test_numbers_may_be_texts(said: Any, number: float) -> None:
    found = {"from_name": "r", "value": {"rating": said}}
    task = {"id": 1, "annotations": [{"result": [found]}]}
    assert read_tasks([task], RATING).labelled[0].values == {"r": (number,)}


@pytest.mark.parametrize(
    ("config", "value"),
    [
        (SINGLE, {"choices": ["gone"]}),
        (SINGLE, {"choices": ["A", "B"]}),
        (SINGLE, {"rating": 3}),
        (SINGLE, {"choices": {"A": 1}}),
        (SINGLE, {"choices": ["gone", "A"]}),
        (SEVERAL, {"choices": ["gone"]}),
        (SEVERAL, {"choices": ["gone", "A"]}),
        (SEVERAL, {"taxonomy": [["A"]]}),
        (SEVERAL, {"choices": [["A", "B"]]}),
        (NESTED, {"choices": [["Sport", "Film"]]}),
        (TAXONOMY, {"taxonomy": [["Y", "X"]]}),
        (PAIR, {"selected": "both"}),
        (BOXES, {"rectanglelabels": ["gone"]}),
        (BOXES, {"rectanglelabels": ["B", "gone"]}),
    ],
)
def test_what_is_not_understood_is_counted_and_never_a_label(
    config: LabelConfig, value: Any
) -> None:
    said, unread = read(config, [item(**value)])
    assert said == []
    assert unread.total() >= 1


@pytest.mark.parametrize("rating", ["many", None, True, "nan", [4], 10**400, 0, 6])
def test_a_rating_that_is_none_of_its_numbers_is_counted(rating: Any) -> None:
    found = {"from_name": "r", "value": {"rating": rating}}
    answers = read_tasks([{"id": 1, "annotations": [{"result": [found]}]}], RATING)
    assert answers.labelled == []
    assert answers.unread.total() == 1


def test_two_numbers_of_one_person_are_none() -> None:
    ratings = [{"from_name": "r", "value": {"rating": stars}} for stars in (2, 5)]
    answers = read_tasks([{"id": 1, "annotations": [{"result": ratings}]}], RATING)
    assert answers.labelled == []
    assert list(answers.unread) == ["'r' answered with several numbers"]
    same = read_tasks([{"id": 1, "annotations": [{"result": [ratings[0]] * 2}]}], RATING)
    assert same.labelled[0].values == {"r": (2.0,)}


def test_a_renamed_control_leaves_answers_that_say_nothing() -> None:
    old = {"from_name": "before", "to_name": "t", "value": {"choices": ["A"]}}
    said, unread = read(SEVERAL, [old])
    assert said == []
    assert list(unread) == ["a result of 'before', which is no control now"]


def test_a_control_that_may_have_been_hidden_is_unknown_without_an_answer() -> None:
    assert read(HIDDEN, []) == ([], Counter())
    assert read(HIDDEN, [item(choices=["A"])]) == ([("A",)], Counter())
    assert read(SEVERAL, []) == ([()], Counter())


def test_which_labels_occur_is_read_from_all_regions_of_an_annotation() -> None:
    boxes = [item(rectanglelabels=[name], x=1) for name in ("A", "A", "B")]
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    assert read(BOXES, [*boxes, relation]) == ([("A", "B")], Counter())
    assert read(BOXES, []) == ([()], Counter())


def test_regions_of_another_tag_carry_the_labels() -> None:
    config = parse(
        '<View><Video name="v" value="$v"/><Labels name="c" toName="v"><Label value="A"/></Labels>'
        '<VideoRectangle name="box" toName="v"/></View>'
    )
    value = {"sequence": [], "labels": ["A"]}
    box = {"from_name": "box", "to_name": "v", "type": "videorectangle", "value": value}
    assert read(config, [box]) == ([("A",)], Counter())


def test_nothing_is_pre_annotated_where_only_occurrence_is_learned() -> None:
    assert prediction_result(BOXES, {"c": np.array([[0.9, 0.1]])}, 0) == []


def test_predictions_have_the_shape_of_answers() -> None:
    def said(config: LabelConfig, *row: float) -> Any:
        (found,) = prediction_result(config, {"c": np.array([row])}, 0)
        return found["value"]

    assert said(TAXONOMY, 0.9, 0.8, 0.6) == {"taxonomy": [["X", "Y"], ["Z"]]}
    assert said(TAXONOMY, 0.9, 0.2, 0.1) == {"taxonomy": [["X"]]}
    assert said(PAIR, 0.1, 0.9) == {"selected": "right"}


@pytest.mark.parametrize(
    ("choice", "row", "ticked"),
    [
        ("single", (0.1, 0.8, 0.1, 0.0, 0.0), [["Sport", "Ball"]]),
        ("single", (0.9, 0.1, 0.0, 0.0, 0.0), [["Sport"], ["Sport", "Ball"], ["Sport", "Ski"]]),
        ("single", (0.0, 0.1, 0.1, 0.0, 0.8), [["Arts"], ["Arts", "movie"]]),
        ("multiple", (0.9, 0.8, 0.1, 0.6, 0.6), [["Sport", "Ball"], ["Arts"], ["Arts", "movie"]]),
        ("multiple", (0.9, 0.1, 0.1, 0.1, 0.1), []),
    ],
)
def test_nested_choices_are_answered_with_every_box_that_the_editor_ticks(
    choice: str, row: tuple[float, ...], ticked: list[list[str]]
) -> None:
    """As its editor (1.23.2) stores them: boxes that hold others are ticked where all those are."""
    config = parse(TREE.format(choice=choice))
    (found,) = prediction_result(config, {"c": np.array([row])}, 0)
    assert found["value"] == {"choices": ticked}
    said, unread = read(config, [found])
    assert not unread
    assert len(said) == 1
    (found,) = prediction_result(config, {"c": np.array([row])}, 0, importable=True)
    assert found["value"]["choices"] == ticked
    assert LabelInterface(TREE.format(choice=choice)).validate_prediction({"result": [found]})


@pytest.mark.parametrize(
    ("boxes", "meant"),
    [
        ([["Sport"], ["Sport", "Ball"], ["Sport", "Ski"]], "Sport"),
        ([["Arts"], ["Arts", "movie"]], "Arts / movie"),
        ([["Sport", "Ski"], ["Sport"]], "Sport / Ski"),
        ([["Sport", "Ball"], ["Sport", "Ski"]], None),
        ([["Arts"], ["Sport", "Ski"]], None),
    ],
)
def test_boxes_within_each_other_are_one_answer(boxes: list[Any], meant: str | None) -> None:
    said, unread = read(parse(TREE.format(choice="single")), [item(choices=boxes)])
    assert said == ([meant] if meant else [])
    assert bool(unread) is (meant is None)


def test_nested_choices_whose_name_is_in_the_way_wait_for_the_editor_to_ask() -> None:
    config = parse(TREE.format(choice="single").replace('name="c"', 'name="choices"'))
    output = {"choices": np.array([[0.0, 1.0, 0.0, 0.0, 0.0]])}
    assert prediction_result(config, output, 0, importable=True) == []
    assert len(prediction_result(config, output, 0)) == 1


def test_where_nothing_is_learned_an_annotated_task_counts_as_covered() -> None:
    task = {"id": 7, "annotations": [{"result": [item(text=["hello"])]}]}
    (found,) = read_tasks([task, {"id": 8, "annotations": []}], FREE).labelled
    assert (found.task, found.values) == (7, {})


def test_annotations_without_any_label_are_an_alarm() -> None:
    strange = {"id": 1, "annotations": [said("gone")]}
    alarm = read_tasks([strange], SINGLE).alarm
    assert "1 tasks are annotated" in alarm
    assert "'c' answered with 'gone'" in alarm
    assert read_tasks([strange, {"id": 2, "annotations": [said("A")]}], SINGLE).alarm == ""
    assert read_tasks([{"id": 1, "annotations": []}], SINGLE).alarm == ""
