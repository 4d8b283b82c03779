"""Label Studio exports as the data of a replay."""

from __future__ import annotations

import json
from dataclasses import replace
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


def test_the_split_of_an_export_stands_in_its_data(tmp_path: Path) -> None:
    exported = tasks()
    for number, task in enumerate(exported):
        task["data"]["fold"] = "dev" if number % 4 == 0 else "train"
    data = read_source(replace(source(tmp_path, exported), split="fold[train,dev]"))
    assert data.test.tolist() == [*range(0, LEAST_TASKS + len(ADDRESSES), 4)]
    assert len(data.train) + len(data.test) == LEAST_TASKS + len(ADDRESSES)
    with pytest.raises(DataError, match="comes with a split of its own"):
        read_source(Source("avdigits", None, tmp_path, None, None, 0.2, "fold"))


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
    assert loaded == [b"a", b"b c", b"b c", b"a", b"a", None, bytes(2250), b"a"]


@pytest.mark.parametrize("named", [True, False])
def test_media_lie_in_the_root_that_is_named_or_beside_the_export(
    tmp_path: Path, named: bool
) -> None:
    given = source(tmp_path, tasks())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.png").write_bytes(b"another")
    data = read_source(replace(given, root=elsewhere if named else None))
    first = data.samples[0]["image"]
    assert isinstance(first, Reference)
    assert first.load() == (b"another" if named else b"a")


@pytest.mark.parametrize(
    ("exported", "why"),
    [
        ("{", "not a Label Studio export"),
        ("[" * 100_000, "not a Label Studio export"),
        (["a.png"], "not a Label Studio export, a list of tasks"),
        ([{"image": "a.png", "rating": 3}], "no answer to mood"),
        ([{"data": "a.png"}], "data are no object"),
        (tasks()[:20], "20 tasks are labelled with 'mood'; a replay needs at least 50"),
    ],
)
def test_an_export_that_cannot_be_used_says_why(tmp_path: Path, exported: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        read_source(source(tmp_path, exported))


FLAT = [
    {"id": n, "image": "a.png", "caption": f"task {n}", "mood": "good" if n % 2 else "bad"}
    for n in range(LEAST_TASKS)
]


def table(comma: str, rows: list[dict[str, Any]]) -> str:
    lines = [comma.join(rows[0]), *(comma.join(map(str, row.values())) for row in rows)]
    return "\ufeff" + "\r\n".join(lines)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("export.json", json.dumps(FLAT)),
        ("export.csv", table(",", FLAT)),
        ("export.csv", table(";", FLAT)),
        ("export.tsv", table("\t", FLAT)),
    ],
)
def test_flat_exports_say_the_same(tmp_path: Path, name: str, content: str) -> None:
    given = source(tmp_path, "[]")
    (tmp_path / name).write_text(content, encoding="utf-8")
    data = read_source(replace(given, data=str(tmp_path / name)))
    assert data.labels["mood"][:4].tolist() == [1, 0, 1, 0]
    assert data.samples[1]["caption"] == "task 1"
    value = data.samples[1]["image"]
    assert isinstance(value, Reference)
    assert value.load() == b"a"


def test_rows_of_several_annotators_are_one_task(tmp_path: Path) -> None:
    rows = [{**row, "annotator": person} for row in FLAT for person in (1, 2, 3)]
    rows[2]["mood"] = "good"
    data = read_source(source(tmp_path, rows))
    assert len(data.samples) == LEAST_TASKS
    assert data.labels["mood"][:2].tolist() == [1, 0]


def test_completions_of_old_exports_are_annotations(tmp_path: Path) -> None:
    old = [{**task, "completions": task["annotations"]} for task in tasks()]
    for task in old:
        del task["annotations"]
    assert len(read_source(source(tmp_path, old)).samples) == LEAST_TASKS + len(ADDRESSES)


@pytest.mark.parametrize(
    ("address", "content"),
    [
        ("/data/upload/7/0123abcd-a.png", b"a"),
        ("/data/local-files/?d=album%5Cb%20c.png", b"b c"),
        ("C:\\Users\\me\\album\\b c.png", b"b c"),
        ("data:image/png;base64,YWJj", b"abc"),
    ],
)
def test_addresses_of_other_systems_are_found(tmp_path: Path, address: str, content: bytes) -> None:
    given = [{**row, "image": address} for row in FLAT]
    value = read_source(source(tmp_path, given)).samples[0]["image"]
    assert isinstance(value, Reference)
    assert value.load() == content


def test_what_is_not_understood_is_said(tmp_path: Path) -> None:
    strange = [{**row, "mood": "gloomy"} for row in FLAT]
    with pytest.raises(DataError, match="50 x 'mood' answered with 'gloomy'"):
        read_source(source(tmp_path, strange))


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
