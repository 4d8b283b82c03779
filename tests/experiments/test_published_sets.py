"""The papers' sets, read from look-alikes in their published layouts."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments import prepared
from experiments.dataset import DataError, Dataset
from experiments.sets import named
from experiments.sets.food101 import ingredients
from model.decoding.audio import decode_audio
from model.decoding.sequences import decode_sequence
from model.decoding.video import decode_frames
from model.presets import preset
from model.sample import Reference
from model.schema import ModalityKind
from strategies.pool import TargetKind
from tests.experiments import lookalikes

SMALL = preset(
    "quick",
    encoders={ModalityKind.VIDEO: "small_cnn", ModalityKind.SEQUENCE: "bilstm"},
    image_size=8,
)
MAKERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "food101": (lookalikes.food101, ""),
    "food101 by titles": (lookalikes.food101, "+text=titles"),
    "kineticssound as frames": (
        lambda root: lookalikes.clips_as_frames(root, "kineticssound"),
        "",
    ),
    "kineticssound as videos": (lookalikes.clips_as_videos, ""),
    "vggsound as frames": (lambda root: lookalikes.clips_as_frames(root, "vggsound"), ""),
    "vggsound in one folder": (lookalikes.clips_flat, ""),
    "simsv2": (lambda root: lookalikes.simsv2(root / "Sims+Large=V6.pkl"), ""),
    "simsv2 features": (lambda root: lookalikes.simsv2(root / "x.pkl"), "+text=features"),
    "cherma": (lookalikes.cherma, ""),
}


def loaded(value: object) -> bytes | str | list:
    assert isinstance(value, Reference)
    return value.load()


@pytest.mark.parametrize("name", MAKERS)
def test_look_alikes_are_prepared(name: str, tmp_path: Path) -> None:
    make, options = MAKERS[name]
    data = named(f"{name.split()[0]}:{make(tmp_path / 'set')}{options}", None)
    first = 1 if name in ("food101", "kineticssound as videos") else 0
    assert (len(data.train), len(data.test)) == (24 - first, 9 - first)
    notes = prepared.write(data, SMALL.preparation, tmp_path / "data")
    found = prepared.read(tmp_path / "data")
    assert notes == []
    assert found.present.all()
    assert [values.shape[0] for values in found.labels.values()] == [33 - 2 * first] * len(
        found.labels
    )
    batch = found.inputs.columns[0].gather(np.arange(3))
    assert np.isfinite(np.asarray(batch, np.float64)).all()


def test_food101_reads_what_follows_the_ingredients(tmp_path: Path) -> None:
    root = lookalikes.food101(tmp_path / "set")
    data = named(f"food101:{root}", None)
    assert data.schema.multimodal.classes == ("apple_pie", "baklava", "sushi")
    first = data.samples[0]
    assert first["text"] == "sugar apple pie 12 spoons salt"  # sorted by name, 0 has no recipe
    titles = named("food101:text=titles", root)
    assert titles.samples[0]["text"] == "How to make apple_pie, quickly"
    long = "Ingredients " + " ".join(map(str, range(300)))
    assert (ingredients(long) or "").split() == [str(n) for n in range(100)]
    assert ingredients("nothing to cook") is None
    assert ingredients("superingredients only") is None
    assert ingredients("ingredients a myingredients b") == "b"


def test_a_clip_is_ten_pictures_and_its_sound(tmp_path: Path) -> None:
    folder = lookalikes.clips_as_frames(tmp_path / "frames", "vggsound")
    data = named(f"vggsound:{folder}", None)
    pictures = decode_frames(loaded(data.samples[0]["video"]), 10)  # type: ignore[arg-type]
    assert len(pictures) == 10
    assert pictures[0].size == (64, 48)
    wave = decode_audio(loaded(data.samples[0]["audio"]), 16000)  # type: ignore[arg-type]
    assert np.abs(wave - lookalikes.wave(0, 0)).max() < 1e-3
    videos = named(f"vggsound:{lookalikes.clips_flat(tmp_path / 'flat')}", None)
    assert videos.schema.modalities[0].key == videos.schema.modalities[1].key == "clip"
    assert videos.schema.multimodal.classes == lookalikes.CLASSES
    clip = loaded(videos.samples[0]["clip"])
    assert len(decode_frames(clip, 4)) == 4  # type: ignore[arg-type]
    assert len(decode_audio(clip, 16000)) > 10_000  # type: ignore[arg-type]


def test_sims_has_a_sentiment_of_each_modality(tmp_path: Path) -> None:
    file = lookalikes.simsv2(tmp_path / "sims.pkl")
    data = named(f"simsv2:{file}", None)
    with file.open("rb") as stream:
        stored = pickle.load(stream)  # noqa: S301
    assert data.schema.multimodal.kind is TargetKind.REGRESSION
    assert [(t.low, t.high, t.modality) for t in data.schema.targets] == [
        (-1.0, 1.0, modality) for modality in (None, "text", "audio", "video")
    ]
    whole = np.concatenate([stored[part]["regression_labels_V"] for part in ("train", "test")])
    assert np.allclose(data.labels["sentiment_V"], whole)
    sequence = decode_sequence(loaded(data.samples[0]["audio"]))
    length = stored["train"]["audio_lengths"][0]
    assert sequence.shape == (length, 25)
    assert sequence[0, 1] == 0, "-inf counts as 0"
    assert np.array_equal(sequence[1:], stored["train"]["audio"][0, 1:length])
    assert data.samples[0]["text"] == str(stored["train"]["raw_text"][0])
    features = named(f"simsv2:{file}+text=features+labels=shared", None)
    vector = decode_sequence(loaded(features.samples[24]["text"]))
    assert np.array_equal(vector[0], stored["test"]["text"][0, 0])
    assert len(features.schema.targets) == 1


def test_cherma_speaks_english(tmp_path: Path) -> None:
    data = named(f"cherma:{lookalikes.cherma(tmp_path / 'set')}", None)
    assert data.schema.multimodal.classes[3] == "happy"
    assert set(data.labels["emotion"].tolist()) == {0, 3, 4}
    assert (data.labels["emotion_text"] != data.labels["emotion"]).any()
    assert decode_sequence(loaded(data.samples[0]["video"])).shape == (16, 48)


def sims(tmp_path: Path, **changes: object) -> str:
    return f"simsv2:{lookalikes.simsv2(tmp_path / 'x.pkl', **changes)}"


def broken(spec: str, tmp_path: Path) -> Dataset:
    return named(spec.format(tmp_path), None)


def test_other_layouts_are_explained(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, said in {
        "food101:{}/empty": r"images/train is missing",
        "kineticssound:{}/empty": "has none of train/audio",
        "vggsound:{}/empty": "has none of train/audio",
        "cherma:{}/empty": r"train.json is missing",
        "simsv2:{}/empty": "is no file",
        "simsv2": "write|Write simsv2:FOLDER",
    }.items():
        with pytest.raises(DataError, match=said):
            broken(name, tmp_path)
    with pytest.raises(DataError, match="no 'vision'; it has raw_text"):
        broken(sims(tmp_path, vision=None), tmp_path)
    with pytest.raises(DataError, match=r"\+text=features"):
        broken(sims(tmp_path, raw_text=None), tmp_path)
    with pytest.raises(DataError, match="2 of 'regression_labels_T'"):
        broken(sims(tmp_path, regression_labels_T=np.zeros(2)), tmp_path)
    with pytest.raises(DataError, match="3 lengths of 24 samples"):
        broken(sims(tmp_path, audio_lengths=[1, 2, 3]), tmp_path)
    with pytest.raises(DataError, match="text is one of words, features"):
        broken(f"{sims(tmp_path)}+text=tokens", tmp_path)


def test_a_missing_part_of_a_sample_is_named(tmp_path: Path) -> None:
    frames = lookalikes.clips_as_frames(tmp_path / "a", "kineticssound")
    (gone,) = (frames / "test" / "video" / "singing").glob("id000000001*")
    for picture in gone.iterdir():
        picture.unlink()
    gone.rmdir()
    with pytest.raises(DataError, match=f"{gone.name} is missing"):
        broken(f"kineticssound:{frames}", tmp_path)
    root = lookalikes.cherma(tmp_path / "b")
    (root / "visual" / "test" / "test_3.mp4.npy").unlink()
    with pytest.raises(DataError, match=r"test_3.mp4.npy is missing"):
        broken(f"cherma:{root}", tmp_path)
    entries = json.loads((root / "train.json").read_text())
    entries[0]["txt_label"] = "困惑"
    (root / "train.json").write_text(json.dumps(entries))
    with pytest.raises(DataError, match="txt_label is '困惑'"):
        broken(f"cherma:{root}", tmp_path)
    entries[0] |= {"txt_label": "高兴", "audio_file": "../../etc/passwd.wav"}
    (root / "train.json").write_text(json.dumps(entries))
    with pytest.raises(DataError, match="names no file"):
        broken(f"cherma:{root}", tmp_path)


def test_parts_are_written_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = named(f"cherma:{lookalikes.cherma(tmp_path / 'set')}", None)
    prepared.write(data, SMALL.preparation, tmp_path / "whole")
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(prepared, "PART", 7)
    prepared.write(
        data,
        SMALL.preparation,
        tmp_path / "parts",
        progress=lambda _, done, total: told.append((done, total)),
    )
    one, other = (prepared.read(tmp_path / name) for name in ("whole", "parts"))
    assert one.fingerprint == other.fingerprint
    for number in range(3):
        files = [tmp_path / name / f"column-{number}.npy" for name in ("whole", "parts")]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert told[-1] == (33, 33)
    assert not list((tmp_path / "parts").glob("cache*"))


def test_a_shape_that_is_not_the_first_ones_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lookalikes.cherma(tmp_path / "set")
    np.save(root / "audio" / "train" / "train_9.npy", np.ones((4, 5), np.float32))
    data = named(f"cherma:{root}", None)
    monkeypatch.setattr(prepared, "PART", 9)
    notes = prepared.write(data, SMALL.preparation, tmp_path / "data")
    assert notes == ["1 x audio: has shape (50, 6); most have (50, 33)"]
    assert np.flatnonzero(~prepared.read(tmp_path / "data").present[:, 1]).tolist() == [9]
