"""Label Studio's own exporter writes what we read: every format says the same as its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.converter import Converter

from backend.commands.exports import read_tasks_of
from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.config import parse
from experiments.dataset import DataError

CHOICE = '<Choice value="A"/><Choice value="B" alias="bee"/><Choice value="C, d"/>'
TREE = (
    '<Choice value="Sport"><Choice value="Ball"/><Choice value="Ski"/></Choice>'
    '<Choice value="Arts"><Choice value="Film" alias="movie"/></Choice>'
)
CONTROLS: dict[str, tuple[str, list[Any]]] = {
    "one choice": (
        f'<Choices name="c" toName="t">{CHOICE}</Choices>',
        [{"choices": ["A"]}, {"choices": ["bee"]}, {"choices": ["C, d"]}],
    ),
    "several choices": (
        f'<Choices name="c" toName="t" choice="multiple">{CHOICE}</Choices>',
        [{"choices": ["A"]}, {"choices": ["bee", "C, d"]}, {"choices": []}],
    ),
    "nested choices": (
        f'<Choices name="c" toName="t" allowNested="true">{TREE}</Choices>',
        [
            {"choices": [["Sport", "Ball"]]},
            {"choices": [["Arts"], ["Arts", "movie"]]},
            {"choices": [["Sport"], ["Sport", "Ball"], ["Sport", "Ski"]]},
        ],
    ),
    "a taxonomy": (
        f'<Taxonomy name="c" toName="t">{TREE}</Taxonomy>',
        [{"taxonomy": [["Sport", "Ball"]]}, {"taxonomy": [["Arts"], ["Sport", "Ski"]]}],
    ),
    "stars": ('<Rating name="c" toName="t"/>', [{"rating": 4}, {"rating": 1}]),
    "a number": ('<Number name="c" toName="t"/>', [{"number": 4.5}, {"number": -1}]),
    "a pair": (
        '<Pairwise name="c" toName="t,u"/>',
        [{"selected": "left"}, {"selected": "right"}],
    ),
    "spans": (
        '<Labels name="c" toName="t"><Label value="X"/><Label value="Y"/></Labels>',
        [
            {"start": 0, "end": 2, "text": "te", "labels": ["X"]},
            {"start": 0, "end": 2, "text": "te", "labels": ["X", "Y"]},
        ],
    ),
    "buckets": (
        '<List name="l" value="$l"/><Ranker name="c" toName="l"><Bucket name="a" title="Good"/>'
        '<Bucket name="b"/></Ranker>',
        [
            {"ranker": {"a": ["1"], "b": [], "_": ["2"]}},
            {"ranker": {"a": [], "b": ["1", "2"], "_": []}},
        ],
    ),
}


def annotated(tag: str, values: list[Any]) -> list[dict[str, Any]]:
    """Return tasks with two annotators each; the second one always says the first value."""

    def said(task: int, person: int) -> dict[str, Any]:
        value = values[task % len(values)] if person == 0 else values[0]
        about = {"id": "x", "from_name": "c", "to_name": "t", "type": tag.lower()}
        when = "2026-01-01T00:00:00Z"
        return {
            "id": 10 * task + person,
            "completed_by": {"id": person},
            "created_at": when,
            "updated_at": when,
            "lead_time": 1,
            "was_cancelled": False,
            "result": [{**about, "value": value}],
        }

    items = [{"id": "1", "title": "one"}, {"id": "2", "title": "two"}]
    return [
        {
            "id": task + 1,
            "data": {"t": f'text {task}, "said";\tso', "u": "", "l": items},
            "annotations": [said(task, person) for person in range(2)],
        }
        for task in range(2 * len(values))
    ]


@pytest.mark.parametrize("control", CONTROLS)
def test_every_export_says_what_the_annotations_say(control: str, tmp_path: Path) -> None:
    inner, values = CONTROLS[control]
    text = f'<View><Text name="t" value="$t"/><Text name="u" value="$u"/>{inner}</View>'
    config = parse(text)
    tag = config.controls["c"].tag
    tasks = annotated(tag, values)
    expected = [said.values for said in read_tasks(tasks, config).labelled]
    assert [len(said["c"]) for said in expected] == [2] * len(tasks)

    given = tmp_path / "given"
    given.mkdir()
    (given / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    converter = Converter(text, project_dir=str(tmp_path), download_resources=False)
    for name, separator in (("all.json", ""), ("all.csv", ","), ("all.tsv", "\t")):
        out = tmp_path / name.replace(".", "-")
        out.mkdir()
        if separator:
            converter.convert_to_csv(str(given), str(out), sep=separator, header=True)
        else:
            converter.convert_to_json_min(str(given), str(out))
        (written,) = out.iterdir()
        read = read_tasks_of(written.rename(out / name), config)
        answers = read_tasks(read, config)
        assert [said.values for said in answers.labelled] == expected, name
        assert not answers.unread
        assert [task["data"]["t"] for task in read] == [task["data"]["t"] for task in tasks]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cut.csv", b't,c\n"a text that was cut', "is not a Label Studio export"),
        ("quoted.csv", b't,c\n"a"b,A\n', "is not a Label Studio export"),
        ("cut.json", b'[{"data": {"t": "x"', "is not a Label Studio export"),
        ("deep.json", b"[" * 100_000, "is not a Label Studio export"),
        ("latin.csv", "t,c\ncafé,A\n".encode("latin-1"), "is not a Label Studio export"),
        ("one.json", b'{"data": {"t": "x"}}', "a list of tasks"),
        ("numbers.json", b"[1, 2]", "a list of tasks"),
        ("texts.json", b'[{"data": {"t": "x"}}, {"data": "x"}]', "a task's data are no object"),
        ("mixed.json", b'[{"data": {"t": "x"}}, {"t": "x"}]', "a task's data are no object"),
        ("other.csv", b"t,sentiment\nx,A\n", "holds no answer to c"),
    ],
)
def test_what_is_no_export_is_refused_with_its_name(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    config = parse(
        f'<View><Text name="t" value="$t"/><Choices name="c" toName="t">{CHOICE}</Choices></View>'
    )
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as raised:
        read_tasks_of(path, config)
    assert name in str(raised.value)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_tasks_of(tmp_path / "missing.csv", config)
