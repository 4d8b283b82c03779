"""Odd label configs, results and task data: read, or counted; a label is never invented."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.config import Level, parse
from backend.labelstudio.votes import label_arrays
from backend.media.values import sample_of
from model.sample import MediaError, Reference
from strategies.pool import TargetKind

WORDS = st.sampled_from(
    [
        "A",
        "b",
        "A / b",
        "",
        " padded ",
        "Ja, nein",
        'say "hi"',
        "R&B",
        "<x>",
        "中",
        "1",
        "true",
        "😀",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats(allow_nan=True) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["choices", "rating", "labels", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> str:
    """Return Choice tags, some of them nested, some with an alias."""
    tags = []
    for value in draw(st.lists(WORDS, min_size=2, max_size=4, unique=True)):
        alias = draw(st.sampled_from(["", "", f" alias={quoteattr(value + '!')}"]))
        inside = draw(trees(depth - 1)) if depth and draw(st.booleans()) else ""
        tags.append(f"<Choice value={quoteattr(value)}{alias}>{inside}</Choice>")
    return "".join(tags)


@st.composite
def controls(draw: st.DrawFn) -> str:
    """Return one control named c, written in one of many ways."""
    tag = draw(st.sampled_from(["Choices", "choices", "Taxonomy", "Rating", "Number", "Pairwise"]))
    to = draw(st.sampled_from(["a", "a,b", " a , b "])) if tag != "Pairwise" else "a,b"
    said = draw(
        st.sampled_from(
            [
                "",
                'choice="multiple"',
                'CHOICE="single-radio"',
                'allowNested="true"',
                'required="true"',
            ]
            if tag.lower() == "choices"
            else [""]
        )
    )
    if tag == "Rating":
        said = draw(st.sampled_from(["", 'maxRating="3"', 'maxrating="10"']))
    inside = draw(trees()) if tag in ("Choices", "choices", "Taxonomy") else ""
    return f'<{tag} name="c" toName="{to}" {said}>{inside}</{tag}>'


def whole(control: str) -> str:
    return f'<View><Text name="a" value="$a"/><Text name="b" value="$b"/>{control}</View>'


@given(controls(), st.data())
def test_what_is_predicted_is_taken_and_read_back_as_the_same(
    control: str, data: st.DataObject
) -> None:
    """Whatever a control is called: Label Studio's own check takes our answer, and so do we."""
    text = whole(control)
    config = parse(text)
    if not config.schema.targets:
        return
    target = config.schema.multimodal
    if target.kind is TargetKind.REGRESSION:
        output = np.array([[data.draw(st.floats(-20, 20))]])
    else:
        output = np.eye(len(target.classes))[[data.draw(st.integers(0, len(target.classes) - 1))]]
    (item,) = prediction_result(config, {"c": output}, 0, importable=True)
    # Its check reads names as they are written, the editor in any case; what it refuses is
    # published without the answer (tests/backend/queue/test_publishing.py).
    if not any(odd in control for odd in ("<choices", " a , b ", "maxrating")):
        assert (
            LabelInterface(text).validate_prediction({"result": [item]}, return_errors=True) == []
        )
    answers = read_tasks([{"id": 1, "annotations": [{"result": [item]}]}], config)
    if target.kind is TargetKind.REGRESSION and target.high is None:
        assert answers.labelled[0].values["c"] == (pytest.approx(output[0, 0], abs=1e-4),)
        return
    assert not answers.unread
    (column,) = label_arrays(answers.labelled, [target]).values()
    chosen = np.flatnonzero(output[0])
    if target.kind is TargetKind.REGRESSION:
        assert target.low is not None
        assert target.low <= column[0] <= (target.high or np.inf)
    elif target.kind is TargetKind.MULTILABEL:
        held = config.controls["c"].path(target.classes[chosen[0]])
        inner = not any(
            len(path) > len(held) and path[: len(held)] == held
            for path in config.controls["c"].paths
        )
        assert bool(column[0, chosen[0]]) is (inner or config.controls["c"].answer == "taxonomy")
    else:
        meant = config.controls["c"].path(target.classes[column[0]])
        said = config.controls["c"].path(target.classes[chosen[0]])
        assert meant[: len(said)] == said  # the same, or the only box within it


@given(controls(), st.lists(JSON, max_size=3), st.sampled_from(["c", "gone", "a", None, 3]))
def test_no_label_comes_of_what_is_not_understood(
    control: str, values: list[Any], name: Any
) -> None:
    """Every class that is read was said in so many words; every number too."""
    config = parse(whole(control))
    key = config.controls["c"].answer if config.schema.targets else "choices"
    results = [
        {"from_name": name, "to_name": "a", "type": "choices", "value": value}
        for raw in values
        for value in (raw, {key: raw})
    ]
    task = {"id": 1, "annotations": [{"result": results}]}
    answers = read_tasks([task], config)
    words = json.dumps(values, ensure_ascii=False, default=str)
    for said in answers.labelled:
        for value in said.values.get("c", ()):
            if isinstance(value, float):
                assert str(int(value)) in words
            for one in value if isinstance(value, tuple) else [value]:
                if isinstance(one, str) and value:
                    assert json.dumps(config.controls["c"].path(one)[-1])[1:-1] or one in words


CHOICES = '<Choices name="c" toName="x"><Choice value="A"/><Choice value="B"/></Choices>'
INPUTS = {
    **{tag: f'<{tag} name="x" value="$v"/>' for tag in ("Text", "HyperText", "Paragraphs", "Chat")},
    **{
        tag: f'<{tag} name="x" value="$v"/>'
        for tag in ("Table", "List", "Dialog", "Markdown", "Pdf")
    },
    **{tag: f'<{tag} name="x" value="$v"/>' for tag in ("Image", "Audio", "Video")},
    "list of pictures": '<Image name="x" valueList="$v"/>',
    "path": '<Text name="x" value="$v.x[0].choices"/>',
    "words": '<Text name="x" value="Title: $v and $w"/>',
    "series": '<TimeSeries name="x" value="$v" timeColumn="t"><Channel column="x"/></TimeSeries>',
    "every column": '<TimeSeries name="x" value="$v" valueType="json" sep="|"/>',
    "text by address": '<Text name="x" value="$v" valueType="url"/>',
    "repeated": (
        '<Repeater on="$v" indexFlag="{{i}}"><Text name="x{{i}}" value="$v[{{i}}].x"/></Repeater>'
    ),
}


@pytest.mark.parametrize("kind", INPUTS)
@given(value=JSON, content=st.binary(max_size=20))
def test_any_value_of_task_data_is_read_or_absent(kind: str, value: Any, content: bytes) -> None:
    """A strange value costs its modality, with a reason, and never the round."""
    choices = CHOICES.replace('"x"', '"x,x{{i}}"')
    config = parse(f"<View>{INPUTS[kind]}{choices}</View>")
    sample = sample_of({"v": value}, config, lambda one: Reference(one, lambda: content))
    assert set(sample) == {modality.key for modality in config.schema.modalities}
    for raw in sample.values():
        if isinstance(raw, Reference):
            with suppress(MediaError):
                raw.load()


def test_a_value_that_looks_like_a_path_keeps_its_own_class() -> None:
    inner = '<Choice value="A"><Choice value="b"/></Choice><Choice value="A / b"/>'
    config = parse(whole(f'<Choices name="c" toName="a" allowNested="1">{inner}</Choices>'))
    assert config.schema.multimodal.classes == ("A", "A // b", "A / b")


@pytest.mark.parametrize(
    ("tag", "data", "text"),
    [
        ('<Dialog name="x" value="$v"/>', [{"name": "Ann", "text": "Hi"}], "Ann: Hi"),
        ('<Markdown name="x" value="# $v"/>', "Fish", "# Fish"),
    ],
)
def test_other_tags_that_show_words(tag: str, data: Any, text: str) -> None:
    config = parse(f"<View>{tag}{CHOICES}</View>")
    (modality,) = config.schema.modalities
    assert sample_of({"v": data}, config, lambda one: Reference(one, bytes))[modality.key] == text


def test_a_heading_with_task_data_is_context_and_said_to_be() -> None:
    headings = '<Header value="$q"/><Header value="Look:"/>'
    config = parse(f'<View>{headings}<Text name="x" value="$v"/>{CHOICES}</View>')
    assert config.schema.names == ("x",)
    assert len(config.ignored) == 1
    assert "heading" in config.ignored[0]


def test_which_buckets_hold_something_is_learned() -> None:
    items = '<List name="x" value="$v"/>'
    buckets = '<Bucket name="good" title="Good ones"/><Bucket name="bad"/>'
    config = parse(f'<View>{items}<Ranker name="c" toName="x">{buckets}</Ranker></View>')
    assert config.level is Level.PRESENCE
    assert config.schema.multimodal.classes == ("good", "bad")

    def said(value: Any) -> Any:
        result = [{"from_name": "c", "to_name": "x", "type": "ranker", "value": {"ranker": value}}]
        answers = read_tasks([{"id": 1, "annotations": [{"result": result}]}], config)
        return answers.labelled[0].values["c"][0] if answers.labelled else [*answers.unread]

    assert said({"good": ["1"], "bad": [], "_": ["2"]}) == ("good",)
    assert said({"good": [], "bad": [], "_": ["1", "2"]}) == ()
    assert said({"gone": ["1"], "bad": ["2"]}) == ["'c' answered with 'gone'"]
    plain = parse(f'<View>{items}<Ranker name="c" toName="x"/></View>')
    assert plain.level is Level.COVERAGE


def test_labels_that_lie_under_the_drawing_tags_name_are_read() -> None:
    """One result of Labels and a drawing tag together (1.23.2: vectors in a video)."""
    config = parse(
        '<View><Video name="v" value="$v"/><Labels name="c" toName="v"><Label value="A"/>'
        '<Label value="B"/></Labels><VideoVector name="d" toName="v"/></View>'
    )
    value = {"sequence": [], "videovectorlabels": ["B"]}
    result = [{"from_name": "c", "to_name": "v", "type": "videovectorlabels", "value": value}]
    answers = read_tasks([{"id": 1, "annotations": [{"result": result}]}], config)
    assert answers.labelled[0].values == {"c": (("B",),)}
