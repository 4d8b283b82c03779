"""Manifests: what is read, and what is said about files that cannot be used."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from experiments.columns import Columns
from experiments.dataset import DataError
from experiments.manifest import file_reference, read, tasks
from experiments.splitting import Split
from model.sample import MediaError, Reference
from strategies.pool import TargetKind

COLUMNS = Columns.read("photo=image,words=text,mood=choice")


def manifest(folder: Path, text: str, name: str = "tasks.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_is_read_with_its_split_and_its_gaps(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a picture")
    text = (
        "photo,words,mood,split\na.png,hello,good,train\n,again,bad,Train\nb.png,,good,test\n"
        "a.png,left out,good,\na.png,unlabelled,,train\n"
    )
    data = read(manifest(tmp_path, text), COLUMNS, None, 0.2)
    assert data.train.tolist() == [0, 1]
    assert data.test.tolist() == [2]
    assert data.schema.multimodal.classes == ("bad", "good")
    assert data.labels["mood"].tolist() == [1, 0, 1, 1, -1]
    first, second, third, *_ = data.samples
    assert isinstance(first["photo"], Reference)
    assert first["photo"].load() == b"a picture"
    assert (second["photo"], third["words"]) == (None, None)
    assert isinstance(third["photo"], Reference)
    with pytest.raises(MediaError, match="no such file"):
        third["photo"].load()


def test_the_split_may_have_other_names(tmp_path: Path) -> None:
    rows = "a,x,good,Train\nb,x,bad,valid\nc,x,bad,test\nd,x,good,holdout\ne,x,good,\n"
    path = manifest(tmp_path, f"photo,words,mood,part\n{rows}")
    data = read(path, COLUMNS, None, 0.2, Split.read("part[train|valid,test]"))
    assert (data.train.tolist(), data.test.tolist()) == ([0, 1], [2])
    with pytest.raises(DataError, match=r"'holdout'; write .* --split \"part\[train\|holdout,test"):
        read(path, COLUMNS, None, 0.2, Split.read("part"))
    with pytest.raises(DataError, match="nowhere 'dev'; it says: holdout, test, train, valid"):
        read(path, COLUMNS, None, 0.2, Split.read("part[train,dev]"))
    with pytest.raises(DataError, match="has no column 'fold'"):
        read(path, COLUMNS, None, 0.2, Split.read("fold"))


@pytest.mark.parametrize("text", ["", "a[b]", "a[b,c", "a[b,b]", "a[b|,c]", "a[b,c,d]", "[b,c]"])
def test_splits_that_are_none(text: str) -> None:
    with pytest.raises(DataError, match="--split"):
        Split.read(text)


def test_json_lines_hold_several_labels_numbers_and_sequences(tmp_path: Path) -> None:
    rows = [
        {"steps": [[0.0, 1.0]], "tags": ["a", "b"], "score": 0.5, "own": 1},
        {"steps": [[1.0, 1.0]], "tags": [], "score": None, "own": 2},
        {"steps": None, "score": "0.25", "own": None},
    ] * 4
    path = manifest(tmp_path, "\n".join(map(json.dumps, rows)), "tasks.jsonl")
    columns = Columns.read("steps=sequence,tags=choices,own@steps=number")
    data = read(path, columns, None, 0.25)
    assert data.schema.multimodal.kind is TargetKind.MULTILABEL
    assert data.schema.unimodal("steps").name == "own"
    assert data.labels["tags"][:2].tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert np.isnan(data.labels["tags"][2]).all()
    assert sorted([*data.train, *data.test]) == [0, 1, 3, 4, 6, 7, 9, 10]
    numbers = read(path, Columns.read("steps=sequence,score=number"), None, 0.25)
    assert numbers.labels["score"][[0, 2]].tolist() == [0.5, 0.25]
    assert np.isnan(numbers.labels["score"][1])


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2)])
def test_parquet_holds_vectors_and_lists_of_labels(tmp_path: Path, kind: pa.DataType) -> None:
    table = {
        "vector": pa.array([[0.0, 1.0], [2.0, 3.0], None, [4.0, None]], kind),
        "tags": [["a", "b"], [], ["b"], ["a"]],
        "split": ["train", "test", "train", "train"],
    }
    path = tmp_path / "tasks.parquet"
    pyarrow.parquet.write_table(pa.table(table), path)
    data = read(path, Columns.read("vector=sequence,tags=choices"), None, 0.5)
    values = [one["vector"] for one in data.samples]
    loaded = [None if v is None else np.load(io.BytesIO(v.load())).tolist() for v in values]  # type: ignore[union-attr,arg-type]
    assert loaded[:3] == [[0.0, 1.0], [2.0, 3.0], None]
    assert str(loaded[3]) == "[4.0, nan]", "whoever decodes it says what a gap counts as"
    assert data.labels["tags"].tolist() == [[1, 1], [0, 0], [0, 1], [1, 0]]
    assert (data.train.tolist(), data.test.tolist()) == ([0, 2, 3], [1])
    numbers = {"vector": table["vector"], "tags": [[1.5, 2.5], [], [2.5], None]}
    pyarrow.parquet.write_table(pa.table(numbers), path)
    data = read(path, Columns.read("vector=sequence,tags=choices"), None, 0.5)
    assert data.schema.multimodal.classes == ("1.5", "2.5"), "labels are no vectors"
    with pytest.raises(DataError, match="column 'vector' holds vectors: write vector=sequence"):
        read(path, Columns.read("vector=text,tags=choices"), None, 0.5)


def test_parquet_holds_media_as_they_are(tmp_path: Path) -> None:
    """As bytes, or as Hugging Face's data sets have pictures and sounds."""
    (tmp_path / "b.png").write_bytes(b"another")
    table = {
        "plain": [b"one", b"two", None, b""],
        "image": [
            {"bytes": b"one", "path": "a.png"},
            {"bytes": None, "path": "b.png"},
            None,
            {"bytes": None, "path": None},
        ],
        "mood": ["good", "bad", "good", "bad"],
    }
    path = tmp_path / "tasks.parquet"
    pyarrow.parquet.write_table(pa.table(table), path)
    found = tasks(path, Columns.read("plain=audio,image=image,mood=choice")).samples
    content = [[v and v.load() for v in one.values()] for one in found]  # type: ignore[union-attr]
    assert content == [[b"one", b"one"], [b"two", b"another"], [None, None], [None, None]]
    assert found[0]["plain"].key == found[0]["image"].key != found[1]["plain"].key  # type: ignore[union-attr]
    with pytest.raises(DataError, match="column 'plain' holds a file, which is no text"):
        tasks(path, Columns.read("plain=text,mood=choice"))
    for kind in ("choice", "choices", "number"):
        with pytest.raises(DataError, match="holds a file, which is no answer"):
            tasks(path, Columns.read(f"image=image,plain={kind}"))


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize(
    ("kind", "said"), [("choice", ("1.0", "2.0")), ("choices", ("1.0", "2.0")), ("number", ())]
)
def test_no_number_is_no_answer(
    tmp_path: Path, suffix: str, kind: str, said: tuple[str, ...]
) -> None:
    """pandas has NaN where nothing is, and so have files that others write from it."""
    table = {"words": ["a", "b", "c"], "said": [1.0, 2.0, float("nan")]}
    path = tmp_path / f"tasks{suffix}"
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table(table), path)
    else:
        rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        path.write_text("\n".join(json.dumps(row) for row in rows))
    data = read(path, Columns.read(f"words=text,said={kind}"), None, 0.5)
    assert data.schema.multimodal.classes == said, "nan is no class"
    assert sorted([*data.train, *data.test]) == [0, 1]
    assert np.isnan(data.labels["said"][2]).all() or data.labels["said"][2] == -1
    texts = tasks(path, Columns.read("words=text,said=text"))
    assert texts.samples[2]["said"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no task"),
        ("photo,words,mood\n", "holds no task"),
        ("photo,words\na.png,hello\n", "no column 'mood'; it has: photo, words"),
        ("photo,words,mood\na.png,hello\n", "line 2: fewer cells"),
        ("photo,words,mood\na.png,hello,good,extra\n", "line 2: more cells"),
        ("photo,words,words,mood\na,b,c,d\n", "'words' is there twice"),
        ('photo,words,mood\na.png,"hello\n', r"is no .csv file \(text is UTF-8\)"),
        ("photo,words,mood\na.png,hello,good\n", "1 classes; at least 2"),
        ("photo,words,mood,split\na,b,good,train\na,b,bad,val\n", "holds 'val'; write train or"),
        ("photo,words,mood\n../a.png,x,good\na.png,x,bad\n", "outside of"),
    ],
)
def test_a_csv_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(manifest(tmp_path, text), COLUMNS, None, 0.2)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: not an object"),
        ('{"a": "x", "b": ["u"]}', "not one class; is it =choices"),
    ],
)
def test_json_lines_that_cannot_be_used_say_why(tmp_path: Path, line: str, said: str) -> None:
    path = manifest(tmp_path, f'{{"a": "x", "b": "v"}}\n{line}\n', "tasks.jsonl")
    with pytest.raises(DataError, match=said):
        read(path, Columns.read("a=text,b=choice"), None, 0.2)


@pytest.mark.parametrize("value", ["much", "inf"])
def test_numbers_must_be_numbers(tmp_path: Path, value: str) -> None:
    path = manifest(tmp_path, f"a,b\nx,1\ny,{value}\n")
    with pytest.raises(DataError, match=f"'{value}', which is no"):
        read(path, Columns.read("a=text,b=number"), None, 0.5)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a manifest is a \.csv, \.jsonl or \.parquet"):
        read(manifest(tmp_path, "", "tasks.xlsx"), COLUMNS, None, 0.2)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(tmp_path / "none.csv", COLUMNS, None, 0.2)
    (tmp_path / "latin.csv").write_bytes("photo,words,mood\na,Grüße,b\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read(tmp_path / "latin.csv", COLUMNS, None, 0.2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mood=choice", "at least one input"),
        ("photo=image,mood@photo=choice", "no label is about the whole task"),
        ("photo=picture,mood=choice", "kinds are image"),
        ("photo,mood=choice", "not COLUMN=KIND"),
        ("mood=text,mood=choice", "'mood' is named twice"),
    ],
)
def test_columns_that_cannot_be_used_say_why(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Columns.read(text)


def test_a_label_of_an_unknown_modality_is_refused(tmp_path: Path) -> None:
    path = manifest(tmp_path, "a,b\nx,u\ny,v\n")
    with pytest.raises(DataError, match="labels 'c', which is no input"):
        read(path, Columns.read("a=text,b@c=choice"), None, 0.5)


def test_paths_cannot_leave_the_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret").write_text("secret")
    (home / "link").symlink_to(tmp_path / "secret")
    (home / "folder").mkdir()
    for name in ("../secret", "folder/../../secret", "link", "/../secret"):
        with pytest.raises(DataError, match="outside of"):
            file_reference(name, home)
    # An absolute path is one below the folder; what is no file, or no name, is absent.
    for name in ("/etc/passwd", "folder", "a\0b", "long" * 500, "."):
        with pytest.raises(MediaError, match="no such file"):
            file_reference(name, home).load()


@pytest.mark.parametrize("columns", ["t=text,a=choice,b=choice", "t=text"])
def test_a_replay_is_of_one_question(tmp_path: Path, columns: str) -> None:
    path = manifest(tmp_path, "t,a,b\nx,u,p\ny,v,q\n")
    with pytest.raises(DataError, match="one question about the whole task"):
        read(path, Columns.read(columns), None, 0.5)


def test_a_stated_range_is_the_scale_whatever_the_labels_are(tmp_path: Path) -> None:
    columns = Columns.read("a=text,y=number[-1,1],own@a=number[0, 9],z@a=number")
    assert columns.ranges == {"y": (-1.0, 1.0), "own": (0.0, 9.0)}
    path = tmp_path / "rows.csv"
    path.write_text("a,y,own,z\none,0.9,3,1\ntwo,-0.7,4,2\nthree,0.1,,3\nfour,0.3,1,4\n")
    data = read(path, columns, None, 0.5)
    assert [(t.low, t.high) for t in data.schema.targets] == [(-1, 1), (0, 9), (None, None)]
    path.write_text("a,y,own,z\none,1.5,3,1\n")
    with pytest.raises(DataError, match=r"'y' holds 1.5, outside of its range \[-1.0, 1.0\]"):
        read(path, columns, None, 0.5)


@pytest.mark.parametrize("said", ["number[1]", "number[1,0]", "number[a,b]", "number[0,inf]"])
def test_what_is_no_range_is_refused(said: str) -> None:
    with pytest.raises(DataError, match=r"number\[LOW,HIGH\]"):
        Columns.read(f"a=text,y={said}")
