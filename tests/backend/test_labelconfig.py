"""Label config -> schema."""

from __future__ import annotations

import pytest

from backend.errors import UnsupportedConfig
from backend.labelstudio.config import parse
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
    assert parsed.markup == {"html"}


def test_same_labels_on_other_objects_are_unimodal_targets() -> None:
    schema = parse(
        config(IMAGE, TEXT, choices("all", "img"), choices("t", "txt"), choices("i", "img"))
    ).schema
    assert schema.multimodal.name == "all"
    assert {t.name: t.modality for t in schema.targets if t.modality} == {"t": "txt", "i": "img"}


def test_a_control_of_several_objects_is_the_multimodal_one() -> None:
    parsed = parse(config(IMAGE, TEXT, choices("i", "img"), choices("both", "img,txt")))
    assert parsed.schema.multimodal.name == "both"
    assert parsed.controls["both"].to_name == "img"


def test_the_attribute_overrides_the_rules() -> None:
    schema = parse(
        config(
            '<Image name="img" value="$image"/>',
            '<Text name="note" value="$note" equipoise="ignore"/>',
            choices("first", "img"),
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
        ([TEXT, '<TextArea name="c" toName="txt"/>'], "TextArea"),
        (['<TimeSeries name="ts" value="$csv"/>', choices("label", "ts")], "TimeSeries"),
        ([TEXT, choices("label", "txt", 'value="$options"', "")], "fixed set"),
        ([TEXT, choices("label", "txt", inner='<Choice value="A"/>')], "at least two"),
        ([TEXT, choices("label", "txt", 'perRegion="true"')], "regions"),
        ([TEXT, choices("a", "txt"), choices("b", "txt", 'equipoise="nose"')], "names no modality"),
        (['<Text name="t" value="$u" valueType="url"/>', choices("label", "t")], "valueType"),
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
