"""Templates of every level and of every kind of input, two rounds each on a real Label Studio.

`make test` plays three, one per level; `make templates` plays all of PLAYED.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import soundfile
from label_studio_sdk.label_interface import LabelInterface
from PIL import Image

from backend.labelstudio.answers import prediction_result
from backend.labelstudio.config import LabelConfig, Level, parse
from backend.labelstudio.inputs import Reading, Source
from demo.labelstudio import LabelStudio
from demo.project import import_tasks, media_url, serve_folder
from model.schema import ModalityKind
from strategies.pool import TargetKind
from tests.backend.labelstudio.templates import PLAYED, SHORT, templates
from tests.e2e.server import Equipoise

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TASKS, FIRST, SECOND = 16, 6, 12
CHOSEN = PLAYED if os.environ.get("EQUIPOISE_TEMPLATES") == "all" else SHORT
WORDS = (
    ("ship", "harbour", "sail", "storm"),
    ("bread", "oven", "flour", "cake"),
    ("court", "judge", "law", "trial"),
)


class Media:
    """Small files of every kind, and values of task data that name them."""

    def __init__(self, root: Path) -> None:
        self._root, self.folder = root, root / "levels"
        self.folder.mkdir(exist_ok=True)
        self._random = np.random.default_rng(0)

    def value(self, source: Source, kind: ModalityKind, number: int) -> Any:
        """Return the value of one task for one input."""
        if source.reading in (Reading.FILE, Reading.PICTURES, Reading.PAGES, Reading.PAGES_TEXT):
            kind = kind if source.reading is Reading.FILE else ModalityKind.SEQUENCE
            return media_url(self._root, self._file(kind, number))
        if source.reading is Reading.SERIES:
            return media_url(self._root, self._series(source, number))
        text = self._text(number)
        return {
            Reading.DIALOGUE: [
                {source.speaker or "role": who, source.words or "content": text}
                for who in ("user", "assistant")
            ],
            Reading.RECORD: {"title": text, "number": number},
            Reading.MARKUP: f"<p>{text}</p>",
        }.get(source.reading, text)

    def _text(self, number: int) -> str:
        return " ".join(self._random.choice(WORDS[number % len(WORDS)], size=6))

    def _file(self, kind: ModalityKind, number: int) -> Path:
        make, ending = {
            ModalityKind.IMAGE: (self._picture, "png"),
            ModalityKind.AUDIO: (self._sound, "wav"),
            ModalityKind.VIDEO: (self._clip, "mp4"),
            ModalityKind.SEQUENCE: (self._pages, "pdf"),
        }[kind]
        path = self.folder / f"{number}.{ending}"
        if not path.exists():
            make(path, number)
        return path

    def _pixels(self, number: int) -> np.ndarray[Any, Any]:
        found = self._random.integers(0, 90, (64, 64, 3)).astype(np.uint8)
        found[8:40, 8:40, number % 3] += 150
        return found

    def _picture(self, path: Path, number: int) -> None:
        Image.fromarray(self._pixels(number)).save(path)

    def _pages(self, path: Path, number: int) -> None:
        Image.fromarray(self._pixels(number)).save(path, format="PDF")

    def _sound(self, path: Path, number: int) -> None:
        wave = np.sin(np.arange(8000) * (0.05 + 0.1 * (number % 3)))
        soundfile.write(path, (wave + self._random.normal(0, 0.05, 8000)) / 2, 8000)

    def _clip(self, path: Path, number: int) -> None:
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4", rate=5)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for _ in range(6):
                frame = av.VideoFrame.from_ndarray(self._pixels(number), format="rgb24")
                file.mux(stream.encode(frame))
            file.mux(stream.encode())

    def _series(self, source: Source, number: int) -> Path:
        path = self.folder / f"{number}-{'-'.join(source.columns) or 'value'}.csv"
        columns = source.columns or ("value",)
        lines = [source.separator.join([source.time or "time", *columns])]
        for step in range(40):
            value = f"{np.sin(step * (1 + number % 3)):.3f}"
            time = f"2020-01-01 00:00:{step:02d}.000000"
            lines.append(source.separator.join([time, *[value] * len(columns)]))
        path.write_text("\n".join(lines) + "\n")
        return path


def tasks_of(text: str, config: LabelConfig, media: Media) -> list[dict[str, Any]]:
    """Return task data with every key that the config names; what we read is real."""
    found = []
    for number in range(TASKS):
        data = LabelInterface(text).generate_sample_task()
        data = {key: value or ["an item"] for key, value in data.items()}
        for modality in config.schema.modalities:
            source = config.sources[modality.key]
            key = source.expression.removeprefix("$")
            assert key in data, f"{source.expression}: choose a template with plain keys"
            value = media.value(source, modality.kind, number)
            several = source.reading is Reading.RECORD and isinstance(data[key], list)
            data[key] = [{"id": "a", **value}, {"id": "b", **value}] if several else value
        found.append({"data": data})
    return found


def answer(text: str, config: LabelConfig, number: int) -> list[dict[str, Any]]:
    """Return an annotation's results: what is learned says the task's group, or else anything.

    Of anything Label Studio's own library says what a result of each control looks like; of a
    Ranker's buckets it knows nothing.
    """
    if config.level is not Level.LEARNED:
        random.seed(number)
        results: list[dict[str, Any]] = LabelInterface(text).generate_sample_annotation()["result"]
        for item in results:
            if item["type"] == "ranker" and item["from_name"] in config.controls:
                buckets = [*config.controls[item["from_name"]].paths.values()]
                item["value"] = {"ranker": {buckets[number % 2]: ["a"], "_": ["b"]}}
        return results
    outputs = {}
    for target in config.schema.targets:
        if target.kind is TargetKind.REGRESSION:
            outputs[target.name] = np.array([[float((target.low or 0) + number % 3)]])
        else:
            outputs[target.name] = np.eye(len(target.classes))[[number % len(target.classes)]]
    return prediction_result(config, outputs, 0, importable=True)


def queue(client: httpx.Client, project: int, version: str) -> dict[int, dict[str, Any]]:
    """Return a version's predictions by task."""
    got = client.get("/api/predictions/", params={"project": project}).raise_for_status().json()
    return {item["task"]: item for item in got if item["model_version"] == version}


@pytest.mark.parametrize("title", CHOSEN)
def test_a_template_is_played(
    title: str,
    label_studio: LabelStudio,
    make_project: Callable[..., int],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    """The queue serves what was published, nothing is invented, and undo leaves nothing."""
    text = next(template.configs[0] for template in templates() if template.title == title)
    config = parse(text)
    media = Media(label_studio.media)
    project = make_project(title, text)
    with label_studio.client() as client:
        serve_folder(client, project, media.folder)
        ids = import_tasks(client, project, tasks_of(text, config, media))
        before = client.get(f"/api/projects/{project}/").json()
        backend = make_equipoise(retrain_after=str(SECOND - FIRST))
        printed = " ".join(backend.run("connect", "--project", str(project)).split())
        assert config.sentence in printed
        assert "of 16 readable" in printed

        done: list[int] = []
        versions = [backend.wait_for(project, settled(0), 300)["version"]]
        for stop in (FIRST, SECOND):
            while len(done) < stop:
                served = client.get(f"/api/projects/{project}/next").raise_for_status().json()
                ranked = queue(client, project, versions[-1])
                left = {task: ranked[task]["score"] for task in ranked if task not in done}
                assert left[served["id"]] == min(left.values()), "the queue is not in our order"
                results = answer(text, config, ids.index(served["id"]))
                made = {"result": results}
                path = f"/api/tasks/{served['id']}/annotations/"
                client.post(path, json=made).raise_for_status()
                done.append(served["id"])
            versions.append(backend.wait_for(project, settled(stop), 300)["version"])
        assert len(set(versions)) == len(versions)

        last = queue(client, project, versions[-1])
        assert set(last) == set(ids) - set(done)
        invented = [item["result"] for item in last.values() if item["result"]]
        assert bool(invented) is (config.level is Level.LEARNED)

        backend.run("disconnect", "--project", str(project), "--delete-predictions")
        check_undone(client, before)
    print(
        f"{title}: {config.level}, {len(done)} tasks served in our order and answered, "
        f"{len(invented)} of {len(last)} left pre-annotated, undone"
    )


def check_undone(client: httpx.Client, before: dict[str, Any]) -> None:
    """Check that nothing of ours is left in a project, and that it is set as it was."""
    project = before["id"]
    after = client.get(f"/api/projects/{project}/").json()
    for name in ("model_version", "sampling", "show_collab_predictions"):
        assert after[name] == before[name], name
    assert client.get(f"/api/projects/{project}/model-versions").json() == {}
    assert client.get("/api/ml", params={"project": project}).json() == []
    assert client.get("/api/webhooks/", params={"project": project}).json() == []
    tabs = client.get("/api/dm/views/", params={"project": project}).json()
    assert [tab for tab in tabs if "Equipoise" in tab["data"].get("title", "")] == []


def settled(annotated: int) -> Callable[[dict[str, Any]], bool]:
    """Return what tells whether a version serves that knows of so many annotated tasks."""
    return lambda status: (
        bool(status["version"])
        and status["state"] == "idle"
        and status.get("pool") == TASKS - annotated
    )
