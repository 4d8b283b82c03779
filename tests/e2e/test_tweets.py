"""GRACE on a real Label Studio: one control per modality and one for both, on MVSA's tweets."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.labelstudio import LabelStudio
from demo.project import import_tasks, media_url, serve_folder
from tests.e2e.server import Equipoise

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CLASSES = ("negative", "neutral", "positive")
CONTROLS = {"overall": ("text,image", "label"), "words": ("text", "label_text")}
CONTROLS["picture"] = ("image", "label_image")
CONFIG = """
<View>
  <Text name="text" value="$text"/>
  <Image name="image" value="$image"/>
  {controls}
</View>
""".format(
    controls="".join(
        f'<Choices name="{name}" toName="{inputs}">'
        + "".join(f'<Choice value="{label}"/>' for label in CLASSES)
        + "</Choices>"
        for name, (inputs, _) in CONTROLS.items()
    )
)
LABELLED, TASKS = 60, 110


def tweets(archive: Path, folder: Path) -> list[dict[str, str]]:
    """Return rows of MVSA, their pictures unpacked into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as file:
        index = file.extractfile("mvsa/index.csv")
        assert index is not None
        rows = list(csv.DictReader(io.TextIOWrapper(index, "utf-8")))[:TASKS]
        for row in rows:
            picture = file.extractfile(f"mvsa/{row['image']}")
            assert picture is not None
            (folder / Path(row["image"]).name).write_bytes(picture.read())
    return rows


def annotation(row: dict[str, str], shift: int = 0) -> dict[str, Any]:
    """One annotator's answer to all three controls; `shift` makes the overall one differ."""
    answers = {name: int(row[column]) for name, (_, column) in CONTROLS.items()}
    answers["overall"] = (answers["overall"] + shift) % len(CLASSES)
    return {
        "result": [
            {
                "from_name": name,
                "to_name": CONTROLS[name][0].split(",")[0],
                "type": "choices",
                "value": {"choices": [CLASSES[answer]]},
            }
            for name, answer in answers.items()
        ]
    }


def test_grace_with_a_label_per_modality(
    label_studio: LabelStudio,
    shared_data: Path,
    make_project: Callable[..., int],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    """Some tasks lack their text or picture, and annotators of every third one disagree."""
    archive = shared_data / "mvsa" / "mvsa_raw96.tar"
    if not archive.is_file():
        pytest.skip(f"{archive} is missing")
    folder = label_studio.media / "mvsa"
    rows = tweets(archive, folder)
    tasks: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        picture = media_url(label_studio.media, folder / Path(row["image"]).name)
        data = {"text": row["text"], "image": picture}
        if place % 10 == 7:
            data["text" if place % 20 == 7 else "image"] = ""
        answers = [annotation(row)] + ([annotation(row, shift=1)] if place % 3 == 0 else [])
        tasks.append({"data": data, **({"annotations": answers} if place < LABELLED else {})})
    project = make_project("tweets", CONFIG)
    with label_studio.client() as client:
        serve_folder(client, project, folder)
        ids = import_tasks(client, project, tasks)
    backend = make_equipoise(strategy="grace", overrides='{"soft_labels": true, "epochs": 2}')
    printed = backend.run("connect", "--project", str(project))
    assert "words" in printed

    found = backend.wait_for(project, lambda s: s["round"] >= 1 and s["state"] == "idle", 300)
    version = found["version"]
    assert version == "equipoise-r0001-grace"
    assert found["labels"] == LABELLED
    with label_studio.client() as client:
        got = client.get("/api/predictions/", params={"project": project}).json()
    got = [item for item in got if item["model_version"] == version]
    assert {item["task"] for item in got} == set(ids[LABELLED:])
    for item in got:
        assert {part["from_name"] for part in item["result"]} == set(CONTROLS)

    out = backend.folder / "scores.csv"
    backend.run("export", "--project", str(project), "--out", str(out), "--version", version)
    with out.open() as file:
        ranked = list(csv.DictReader(file))
    assert len(ranked) == TASKS - LABELLED
    for column in ("informativeness", "representativeness", "easiness"):
        values = [float(row[column]) for row in ranked]
        assert min(values) == 0
        assert max(values) == 1
    assert "FAIL" not in backend.run("doctor", "--project", str(project))
