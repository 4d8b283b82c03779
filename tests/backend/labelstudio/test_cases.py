"""The shapes that people's projects have (../shared/cases), each read as it must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.commands.replay_data import Source, read_source
from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.config import LabelConfig, parse
from backend.labelstudio.votes import label_arrays
from backend.media.values import sample_of
from experiments.dataset import DataError
from model.decoding.audio import decode_audio
from model.decoding.images import decode_image
from model.decoding.sequences import decode_sequence
from model.decoding.video import decode_frames
from model.sample import MediaError, RawValue, Reference
from model.schema import ModalityKind
from strategies.pool import TargetKind
from tests.conftest import ROOT

CASES = ROOT.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}")


def config(name: str) -> LabelConfig:
    return parse((CASES / f"{name}.xml").read_text(encoding="utf-8"))


def tasks(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((CASES / f"{name}.tasks.json").read_text())
    return [{"id": number, **task} for number, task in enumerate(found)]


def values(parsed: LabelConfig, data: dict[str, Any]) -> dict[str, RawValue]:
    """Return raw values by modality; an address stands for its own bytes."""
    sample = sample_of(data, parsed, lambda address: Reference(address, lambda: address.encode()))
    return {modality.name: sample[modality.key] for modality in parsed.schema.modalities}


def address(value: RawValue) -> str:
    assert isinstance(value, Reference)
    content = value.load()
    assert isinstance(content, bytes)
    return content.decode()


def test_yes_no_questions_are_independent() -> None:
    parsed = config("c01_yesno_questions")
    assert [q.name for q in parsed.schema.questions] == ["hateful", "blurry", "english"]
    assert all(target.modality is None for target in parsed.schema.targets)


def test_an_alias_is_the_class_and_a_text_is_an_answer() -> None:
    parsed = config("c03_alias")
    assert parsed.schema.multimodal.classes == ("m", "w", "Other")
    answers = read_tasks(tasks("c03_string_choice"), parsed)
    assert [item.values for item in answers.labelled] == [{"gender": ("m",)}]


def test_nested_choices_are_paths_both_ways() -> None:
    parsed = config("c04_nested_choices")
    answers = read_tasks(tasks("c04_nested_choices"), parsed)
    assert not answers.unread
    said = [item.values["topic"][0] for item in answers.labelled]
    assert said == ["Sport / Ball", "Arts / Film", "Sport / Ball", "Arts / Film"]
    (column,) = label_arrays(answers.labelled, parsed.schema.targets).values()
    sure = [[float(k == c) for k in range(len(parsed.schema.multimodal.classes))] for c in column]
    (item,) = prediction_result(parsed, {"topic": sure}, 1)  # type: ignore[dict-item]
    assert item["value"] == {"choices": [["Arts", "Film"]]}


@pytest.mark.parametrize("name", ["c06_nested_key", "c07_array_key"])
def test_paths_into_the_data_are_followed(name: str) -> None:
    (task,) = tasks(name)
    found = values(config(name), task["data"])
    assert address(found["img"]) == "/data/local-files/?d=media/i0.png"
    assert found["txt"] == "A text"
    assert read_tasks([task], config(name)).labelled[0].values == {"label": ("A",)}


def test_all_pictures_of_a_list_are_seen(tmp_path: Path) -> None:
    from PIL import Image

    for name, colour in (("i0", "red"), ("i2", "blue")):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{name}.png")
    (task,) = tasks("c09_valuelist")
    parsed = config("c09_valuelist")

    def refer(one: str) -> Reference:
        return Reference(one, (tmp_path / one.rpartition("/")[2]).read_bytes)

    value = sample_of(task["data"], parsed, refer)["images"]
    assert isinstance(value, Reference)
    content = value.load()
    assert isinstance(content, bytes)
    picture = decode_image(content)
    colours = {colour for _, colour in picture.getcolors(2**24) or ()}
    assert {(255, 0, 0), (0, 0, 255)} <= colours
    alone = {**task["data"], "images": task["data"]["images"][:1]}
    only = sample_of(alone, parsed, refer)["images"]
    assert isinstance(only, Reference)
    assert only.key != value.key


def test_a_dialogue_is_text_with_who_speaks() -> None:
    parsed = config("c10_paragraphs")
    turns = [{"speaker": "Ann", "text": "Hello?"}, {"speaker": "Bob", "text": "No, thanks."}]
    found = values(parsed, {"audio": "/a.wav", "dialogue": turns})
    assert found["dialogue"] == "Ann: Hello?\nBob: No, thanks."
    assert parsed.schema.multimodal.name == "outcome"


@pytest.mark.parametrize("inline", [False, True])
def test_a_time_series_is_a_sequence(inline: bool) -> None:
    parsed = config("c12_timeseries_sequence")
    assert parsed.schema.modalities[0].kind is ModalityKind.SEQUENCE
    columns = {"t": [0, 1, 2], "y": [4, 5, 6], "x": [7, 8, 9]}
    text = "t,y,x\n0,4,7\n1,5,8\n2,6,9\n"
    data = {"csv": columns if inline else "/data/s.csv", "video": None}
    sample = sample_of(data, parsed, lambda one: Reference(one, text.encode))
    value = sample["csv"]
    steps = value.load() if isinstance(value, Reference) else value
    assert isinstance(steps, list)
    assert decode_sequence(steps).tolist() == [[7, 4], [8, 5], [9, 6]]


def test_one_key_is_read_in_each_tags_own_way() -> None:
    parsed = config("c14_same_key_image_text")
    found = values(parsed, {"image": "/a.png"})
    assert address(found["img"]) == "/a.png"
    assert found["filename"] == "/a.png"
    image, text = parsed.schema.modalities
    assert (image.kind, text.kind) == (ModalityKind.IMAGE, ModalityKind.TEXT)
    tags = (CASES / "c14_same_key_image_text.xml").read_text().splitlines()
    swapped = parse("\n".join([tags[0], tags[2], tags[1], *tags[3:]]))
    other = values(swapped, {"image": "/a.png"})
    assert other["filename"] == "/a.png"
    assert address(other["img"]) == "/a.png"


def test_a_video_and_its_sound_are_heard_once() -> None:
    kinds = [modality.kind for modality in config("c16_video_audio_sync").schema.modalities]
    assert kinds == [ModalityKind.VIDEO, ModalityKind.AUDIO]


def test_choices_inside_views_and_twice_are_the_choices() -> None:
    assert config("c17_choice_in_view").schema.multimodal.classes == ("a", "b", "c")
    assert config("c19_duplicate_choice").schema.multimodal.classes == ("red", "other", "round")


def test_odd_class_names_stay_as_they_are() -> None:
    parsed = config("c18_unicode_classes")
    target = parsed.schema.multimodal
    assert target.classes[:4] == ("Ja, natürlich", "a|b", "R&B", 'say "hi"')
    assert target.classes[4:] == ("😀", " padded ", "中文 (未定)")
    assert values(parsed, {"текст": "да"})["текст"] == "да"
    for name in target.classes:
        result = [{"from_name": "класс", "value": {"choices": [name]}}]
        (said,) = read_tasks([{"id": 1, "annotations": [{"result": result}]}], parsed).labelled
        assert said.values == {"класс": (name,)}


def test_a_question_that_points_to_a_literal_is_about_the_task() -> None:
    parsed = config("c24_literal_text")
    assert parsed.schema.names == ("left", "right")
    assert parsed.schema.multimodal.name == "winner"
    assert parsed.controls["winner"].to_name == "q"


def test_a_literal_key_with_dots_wins_over_the_path() -> None:
    parsed = config("c28_dotted_literal_key")
    data = {"llm.outputs": "flat", "llm": {"outputs": "deep"}}
    assert values(parsed, data)["ctx"] == "flat"
    assert values(parsed, {"llm": {"outputs": "deep"}})["ctx"] == "deep"


def test_a_rating_alone_is_a_number_in_its_range() -> None:
    target = config("c34_rating_literals").schema.multimodal
    assert (target.kind, target.low, target.high) == (TargetKind.REGRESSION, 1.0, 10.0)


def csv_export(config: str) -> Source:
    return Source(str(CASES / "s_ls_export.csv"), None, None, None, CASES / config, 0.2)


def test_a_csv_export_is_read() -> None:
    data = read_source(csv_export("s_multi.xml"))
    assert data.labels["c"].tolist()[:3] == [[1, 0], [1, 1], [0, 0]]
    assert data.samples[1]["text"] == "1 text 1"


def test_two_answers_to_a_question_of_one_are_said_and_are_no_label() -> None:
    with pytest.raises(DataError, match=r"20 tasks are labelled .* 20 x 'c' answered with several"):
        read_source(csv_export("s_text.xml"))


def test_windows_paths_are_found_below_the_media_folder(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    for number in range(200):
        (tmp_path / "media" / f"i{number}.png").write_bytes(b"%d" % number)
    given = Source(str(CASES / "s_win.json"), None, tmp_path, None, CASES / "s_img.xml", 0.2)
    data = read_source(given)
    contents = [address(sample["image"]) for sample in data.samples[:5]]
    assert contents == ["0", "1", "2", "3", "4"]


def test_a_streamed_wav_is_as_long_as_its_file() -> None:
    sound = decode_audio((CASES / "m_stream_ffffffff.wav").read_bytes(), 16_000)
    assert sound.size == 16_000


def test_odd_media_are_decoded() -> None:
    assert decode_audio((CASES / "m_mp3_named.wav").read_bytes(), 16_000).size > 0
    upright = decode_image((CASES / "m_img_exif6.jpg").read_bytes())
    assert upright.height > upright.width
    for name in ("m_v_noaudio.mp4", "m_v_vfr.mp4"):
        assert len(decode_frames((CASES / name).read_bytes(), 4)) == 4
    with pytest.raises(MediaError, match="no sound track"):
        decode_audio((CASES / "m_v_noaudio.mp4").read_bytes(), 16_000)
