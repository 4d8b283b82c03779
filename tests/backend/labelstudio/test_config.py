"""Label config -> schema."""

from __future__ import annotations

import pytest

from backend.errors import UnsupportedConfig
from backend.labelstudio.config import Level, parse
from backend.labelstudio.inputs import Reading
from model.schema import ModalityKind
from strategies.pool import TargetKind

CHOICES = '<Choice value="A"/><Choice value="B"/>'


def config(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


IMAGE = '<Image name="img" value="$image"/>'
AUDIO = '<Audio name="aud" value="$audio"/>'
TEXT = '<Text name="txt" value="$text"/>'


def choices(name: str, to: str, more: str = "", inner: str = CHOICES) -> str:
    return f'<Choices name="{name}" toName="{to}" {more}>{inner}</Choices>'


def test_modalities_keep_document_order_and_their_data_keys() -> None:
    schema = parse(config(IMAGE, AUDIO, TEXT, choices("label", "img"))).schema
    assert schema.names == ("img", "aud", "txt")
    assert [m.key for m in schema.modalities] == ["image", "audio", "text"]
    assert schema.multimodal.classes == ("A", "B")


def test_a_video_is_frames_and_sound() -> None:
    schema = parse(config('<Video name="v" value="$clip"/>', choices("label", "v"))).schema
    assert schema.names == ("v.frames", "v.sound")
    assert [m.kind for m in schema.modalities] == [ModalityKind.VIDEO, ModalityKind.AUDIO]
    assert {m.key for m in schema.modalities} == {"clip"}


def test_hypertext_is_markup() -> None:
    parsed = parse(config('<HyperText name="h" value="$html"/>', choices("label", "h")))
    assert parsed.sources["html"].reading is Reading.MARKUP


def own(*tags: str) -> dict[str, str | None]:
    targets = parse(config(*tags)).schema.targets
    return {target.name: target.modality for target in targets if target.modality}


def test_the_question_of_several_inputs_asked_of_one_is_that_ones_own() -> None:
    both = choices("all", "img,txt")
    tags = (IMAGE, TEXT, both, choices("t", "txt"), choices("i", "img"))
    assert own(*tags) == {"t": "txt", "i": "img"}


def test_equal_classes_alone_make_no_question_a_modalitys_own() -> None:
    assert own(IMAGE, TEXT, choices("hateful", "img"), choices("english", "txt")) == {}
    both = choices("all", "img,txt")
    assert own(IMAGE, TEXT, both, choices("blurry", "img"), choices("staged", "img")) == {}
    assert own(IMAGE, TEXT, AUDIO, both, choices("noisy", "aud")) == {}
    other = choices("t", "txt", inner='<Choice value="A"/><Choice value="C"/>')
    assert own(IMAGE, TEXT, both, other) == {}


def test_ratings_are_one_modalitys_own_by_the_tag_or_by_an_equal_stated_range() -> None:
    both = '<Rating name="all" toName="img,txt" maxRating="7"/>'
    rating = '<Rating name="{}" toName="{}" {}/>'
    stated = rating.format("t", "txt", 'maxRating="7"')
    assert own(IMAGE, TEXT, both, stated) == {"t": "txt"}
    assert own(IMAGE, TEXT, both, rating.format("t", "txt", "")) == {}
    assert own(IMAGE, TEXT, both, rating.format("t", "txt", 'maxRating="9"')) == {}
    plain = rating.format("all", "img,txt", "")
    assert own(IMAGE, TEXT, plain, rating.format("t", "txt", "")) == {}
    assert own(IMAGE, TEXT, plain, rating.format("t", "txt", 'equipoise="txt"')) == {"t": "txt"}


def test_a_control_of_several_objects_is_the_multimodal_one() -> None:
    parsed = parse(config(IMAGE, TEXT, choices("i", "img"), choices("both", "img,txt")))
    assert parsed.schema.multimodal.name == "both"
    assert parsed.controls["both"].to_name == "img"


def test_the_attribute_overrides_the_rules() -> None:
    schema = parse(
        config(
            '<Image name="img" value="$image"/>',
            '<Text name="note" value="$note" equipoise="ignore"/>',
            choices("first", "img", 'equipoise="img"'),
            choices("main", "img", 'equipoise="multimodal"'),
        )
    ).schema
    assert schema.names == ("img",)
    assert schema.multimodal.name == "main"
    assert schema.unimodal("img").name == "first"


def test_a_sequence_is_asked_for() -> None:
    schema = parse(
        config('<Text name="s" value="$feats" equipoise="sequence"/>', choices("label", "s"))
    ).schema
    assert schema.modalities[0].kind is ModalityKind.SEQUENCE


def test_rating_and_number_are_regression_with_their_range() -> None:
    rating = parse(config(TEXT, '<Rating name="r" toName="txt" maxRating="7"/>')).schema
    assert rating.multimodal.kind is TargetKind.REGRESSION
    assert (rating.multimodal.low, rating.multimodal.high) == (1.0, 7.0)
    number = parse(config(TEXT, '<Number name="n" toName="txt" min="-3"/>')).schema
    assert (number.multimodal.low, number.multimodal.high) == (-3.0, None)


def test_multiple_choice_is_multilabel() -> None:
    schema = parse(config(TEXT, choices("label", "txt", 'choice="multiple"'))).schema
    assert schema.multimodal.kind is TargetKind.MULTILABEL


def test_an_alias_is_the_class_that_annotations_hold() -> None:
    inner = '<Choice value="Alpha" alias="a"/><Choice value="B"/>'
    assert parse(config(TEXT, choices("label", "txt", inner=inner))).schema.multimodal.classes == (
        "a",
        "B",
    )


def test_other_controls_are_ignored_and_named() -> None:
    parsed = parse(config(TEXT, choices("label", "txt"), '<TextArea name="c" toName="txt"/>'))
    assert any("TextArea" in note for note in parsed.ignored)


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ([TEXT, choices("a", "txt"), choices("b", "txt", 'equipoise="nose"')], "names no modality"),
        ([TEXT, TEXT, choices("label", "txt")], "Two tags"),
        (['<Text name="t" value="hello"/>', choices("label", "t")], "the same in every task"),
        (['<Header value="hello"/>'], "no input"),
    ],
)
def test_unsupported_configs_are_refused_by_name(tags: list[str], named: str) -> None:
    with pytest.raises(UnsupportedConfig, match=named):
        parse(config(*tags))


@pytest.mark.parametrize("text", ["", "<View>", "no xml", '<!DOCTYPE x [<!ENTITY a "b">]><View/>'])
def test_what_is_no_config_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedConfig):
        parse(text)


@pytest.mark.parametrize(
    ("control", "why"),
    [
        ('<TextArea name="c" toName="txt"/>', "not learned"),
        ('<DateTime name="c" toName="txt"/>', "not learned"),
        (choices("c", "txt", 'value="$options"', ""), "no fixed set"),
        (choices("c", "txt", 'perItem="true"'), "each item"),
        ('<Rating name="c" toName="txt" perRegion="true"/>', "each region"),
        ('<Labels name="c" toName="txt" value="$labels"/>', "no fixed set"),
        (choices("c", "nowhere"), "no input here"),
        (choices("c", "txt", 'equipoise="ignore"'), "told to ignore"),
    ],
)
def test_what_cannot_be_learned_is_named_and_the_order_covers(control: str, why: str) -> None:
    parsed = parse(config(TEXT, control))
    assert parsed.level is Level.COVERAGE
    assert parsed.schema.targets == ()
    assert "covers the variety of txt" in parsed.sentence
    assert any("'c'" in note and why in note for note in parsed.ignored)


@pytest.mark.parametrize(
    "control",
    [
        '<RectangleLabels name="c" toName="img"><Label value="A"/><Label value="B"/>'
        "</RectangleLabels>",
        '<brushlabels name="c" toname="img"><label value="A"/><label value="B"/></brushlabels>',
        choices("c", "img", 'perRegion="true"'),
    ],
)
def test_labels_of_regions_become_which_of_them_occur(control: str) -> None:
    parsed = parse(config(IMAGE, control))
    assert parsed.level is Level.PRESENCE
    target = parsed.schema.multimodal
    assert (target.kind, target.classes) == (TargetKind.MULTILABEL, ("A", "B"))
    whole = parse(config(IMAGE, control, choices("whole", "img")))
    assert whole.level is Level.LEARNED
    assert whole.schema.multimodal.name == "whole"
    assert [q.name for q in whole.schema.questions] == ["whole", "c"]
    assert whole.sentence.endswith("'c' occur is learned, too, and not pre-annotated")


def test_the_editor_reads_attributes_and_tags_without_regard_to_case() -> None:
    schema = parse(
        '<View><image NAME="i" VALUE="$p"/><choices name="c" TONAME="i" Choice="Multiple">'
        '<choice VALUE="A"/><choice value="B"/></choices></View>'
    ).schema
    assert [m.key for m in schema.modalities] == ["p"]
    assert schema.multimodal.kind is TargetKind.MULTILABEL


def test_one_choice_is_yes_or_no() -> None:
    target = parse(config(TEXT, choices("c", "txt", inner='<Choice value="spam"/>'))).schema
    assert target.multimodal.kind is TargetKind.MULTILABEL
    assert target.multimodal.classes == ("spam",)


def test_pairwise_and_taxonomy_are_questions() -> None:
    two = ('<Text name="a" value="$a"/>', '<Text name="b" value="$b"/>')
    pair = parse(config(*two, '<Pairwise name="p" toName="a,b"/>')).schema.multimodal
    assert (pair.kind, pair.classes) == (TargetKind.CLASSIFICATION, ("left", "right"))
    inner = '<Choice value="X"><Choice value="Y"/></Choice><Choice value="Z"/>'
    tree = parse(config(TEXT, f'<Taxonomy name="t" toName="txt">{inner}</Taxonomy>')).schema
    assert tree.multimodal.kind is TargetKind.MULTILABEL
    assert tree.multimodal.classes == ("X", "X / Y", "Z")


def test_inputs_that_are_not_read_stop_nothing() -> None:
    parsed = parse(config(TEXT, '<Magic name="m" value="$m"/>', choices("label", "txt,m")))
    assert parsed.schema.names == ("txt",)
    assert any("'m'" in note for note in parsed.ignored)


RATING = '<Rating name="r" toName="img"/>'


def test_all_questions_about_the_task_are_learned() -> None:
    tags = (IMAGE, choices("first", "img"), choices("second", "img"), RATING)
    parsed = parse(config(*tags))
    assert [q.name for q in parsed.schema.questions] == ["first", "second", "r"]
    assert parsed.sentence == (
        "first (classification), second (classification) and r (regression) from img (image)"
    )
    assert [line.partition(":")[0] for line in parsed.reading] == [
        "first (Choices)",
        "second (Choices)",
        "r (Rating)",
    ]
    assert all('equipoise="ignore"' in line for line in parsed.reading)


def test_the_first_question_is_the_tagged_one() -> None:
    second = choices("second", "img", 'equipoise="multimodal"')
    parsed = parse(config(IMAGE, choices("first", "img"), second, RATING))
    assert [q.name for q in parsed.schema.questions] == ["second", "first", "r"]
    rating = RATING.replace("/>", ' equipoise="multimodal"/>')
    numbers = parse(config(IMAGE, choices("first", "img"), rating)).schema
    assert (numbers.multimodal.name, numbers.ranking.name) == ("r", "first")
