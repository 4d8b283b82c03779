"""Label Studio exports as the data of a replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.commands.replay_data import LEAST_TASKS, Source, read_source
from backend.errors import EquipoiseError, UnsupportedConfig
from experiments.dataset import DataError
from model.sample import MediaError, Reference

CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <Text name="text" value="$caption"/>
  <Choices name="mood" toName="image"><Choice value="good"/><Choice value="bad"/></Choices>
</View>
"""
ADDRESSES = (
    "/data/upload/7/a.png",
    "/data/local-files/?d=album/b%20c.png",
    "s3://bucket/album/b c.png",
    "https://example.org/7/a.png?token=1",
    "a.png",
    "https://[broken/a.png",
    "data:image/png;base64," + "A" * 3000,
    "../../a.png",
)


def said(choice: str, **more: Any) -> dict[str, Any]:
    value = {"choices": [choice]}
    result = {"from_name": "mood", "to_name": "image", "type": "choices", "value": value}
    return {"result": [result], **more}


def tasks() -> list[dict[str, Any]]:
    """Labelled tasks, one of each address in turn, then a skipped and an unlabelled one."""
    labelled = [
        {
            "id": "not a number",
            "data": {"image": ADDRESSES[n % len(ADDRESSES)], "caption": f"task {n}"},
            "annotations": [said("good" if n % 2 else "bad")],
        }
        for n in range(LEAST_TASKS + len(ADDRESSES))
    ]
    data = {"image": None, "caption": None}
    skipped = {"data": data, "annotations": [said("good", was_cancelled=True)]}
    return [*labelled, skipped, {"data": data, "annotations": []}]


def source(folder: Path, exported: Any, config: str = CONFIG) -> Source:
    (folder / "album").mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(b"a")
    (folder / "album" / "b c.png").write_bytes(b"b c")
    (folder / "export.json").write_text(
        exported if isinstance(exported, str) else json.dumps(exported)
    )
    (folder / "config.xml").write_text(config)
    return Source(str(folder / "export.json"), None, folder, None, folder / "config.xml", 0.2)


def test_an_export_is_read_with_its_media(tmp_path: Path) -> None:
    data = read_source(source(tmp_path, tasks()))
    assert len(data.samples) == len(data.train) + len(data.test) == LEAST_TASKS + len(ADDRESSES)
    assert data.labels["mood"][:4].tolist() == [1, 0, 1, 0]
    assert data.samples[1]["caption"] == "task 1"
    loaded: list[bytes | None] = []
    for sample in data.samples[: len(ADDRESSES)]:
        value = sample["image"]
        assert isinstance(value, Reference)
        try:
            loaded.append(value.load())
        except MediaError:
            loaded.append(None)
    assert loaded == [b"a", b"b c", b"b c", b"a", b"a", None, None, b"a"]


@pytest.mark.parametrize(
    ("exported", "why"),
    [
        ("{", "not a Label Studio JSON export"),
        ("[" * 100_000, "not a Label Studio JSON export"),
        ([{"image": "a.png", "mood": "good"}], "not JSON-MIN"),
        ([{"data": "a.png"}], "not JSON-MIN"),
        (tasks()[:20], "20 tasks are labelled with 'mood'; a replay needs at least 50"),
    ],
)
def test_an_export_that_cannot_be_used_says_why(tmp_path: Path, exported: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        read_source(source(tmp_path, exported))


def test_a_config_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConfig, match="cannot be parsed"):
        read_source(source(tmp_path, tasks(), "<View><Image"))


@pytest.mark.parametrize(
    ("named", "why"),
    [
        (Source(None, None, None, None, None, 0.2), "either --data or --project"),
        (Source("mvsa", 3, None, None, None, 0.2), "either --data or --project"),
        (Source("x.json", None, None, None, None, 0.2), "--label-config"),
        (Source("x.csv", None, None, None, None, 0.2), "needs --columns"),
        (Source("mvsa", None, None, None, None, 0.2), "--root must name"),
        (Source("mvs", None, Path(), None, None, 0.2), "no data set 'mvs'; choose one of avdig"),
        (Source("mosi:target=word", None, Path(), None, None, 0.2), "number, class, not 'word'"),
        (Source("mosi", None, Path("/none"), None, None, 0.2), "missing; point --root"),
        (Source("none.json", None, None, None, Path("none.xml"), 0.2), "cannot be read"),
    ],
)
def test_what_is_named_wrongly_is_explained(named: Source, why: str) -> None:
    with pytest.raises((DataError, EquipoiseError), match=why):
        read_source(named)
