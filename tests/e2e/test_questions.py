"""Several questions in one project, and their predictions in Label Studio's own editor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.config import LabelConfig, parse
from demo.labelstudio import LabelStudio
from demo.project import import_tasks, serve_folder
from strategies.pool import TargetKind
from tests.e2e.server import Equipoise
from tests.e2e.test_levels import TASKS, Media, check_undone, queue, settled, tasks_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
CHROMIUM = Path("/usr/bin/chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
QUIET += ("--disable-background-networking", "--disable-component-update")
PLACES = (
    '<Choice value="Outside"><Choice value="Sea"/><Choice value="Street"/></Choice>'
    '<Choice value="Inside"><Choice value="Kitchen" alias="cuisine"/></Choice>'
)
CONFIG = f"""
<View>
  <Image name="picture" value="$picture"/>
  <Text name="words" value="$words"/>
  <Choices name="mood" toName="picture" choice="single">
    <Choice value="calm"/><Choice value="warm"/><Choice value="tense"/>
  </Choices>
  <Choices name="themes" toName="words" choice="multiple">
    <Choice value="water"/><Choice value="food"/><Choice value="law"/>
  </Choices>
  <Rating name="stars" toName="picture" maxRating="4"/>
  <Choices name="place" toName="words" allowNested="true">{PLACES}</Choices>
</View>
"""
SAID: tuple[dict[str, Any], ...] = (
    {"mood": ["calm"], "themes": ["water"], "stars": 1, "place": [["Outside", "Sea"]]},
    {"mood": ["warm"], "themes": [], "stars": 3, "place": [["Inside"], ["Inside", "cuisine"]]},
    {
        "mood": ["tense"],
        "themes": ["law", "food"],
        "stars": 4,
        "place": [["Outside"], ["Outside", "Sea"], ["Outside", "Street"]],
    },
)
"""What a person says of each group of tasks."""
INPUTS = {"mood": "picture", "themes": "words", "stars": "picture", "place": "words"}


def result(number: int) -> list[dict[str, Any]]:
    """Return a person's answers to all questions; an empty one is no result, as in the editor."""
    return [
        {
            "from_name": name,
            "to_name": INPUTS[name],
            "type": "rating" if name == "stars" else "choices",
            "value": {"rating" if name == "stars" else "choices": said},
        }
        for name, said in SAID[number % len(SAID)].items()
        if said != []
    ]


def test_every_question_is_learned_and_pre_annotated(
    label_studio: LabelStudio,
    make_project: Callable[..., int],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    """One prediction answers all of them, with what their controls have and nothing else."""
    config = parse(CONFIG)
    names = {question.name for question in config.schema.questions}
    assert names == set(INPUTS)
    project = make_project("several questions", CONFIG)
    media = Media(label_studio.media)
    with label_studio.client() as client:
        serve_folder(client, project, media.folder)
        ids = import_tasks(client, project, tasks_of(CONFIG, config, media))
        before = client.get(f"/api/projects/{project}/").json()
        backend = make_equipoise(retrain_after="9")
        backend.run("connect", "--project", str(project))
        first = backend.wait_for(project, settled(0), 240)["version"]
        assert all(not item["result"] for item in queue(client, project, first).values())
        for _ in range(9):
            served = client.get(f"/api/projects/{project}/next").raise_for_status().json()
            made = {"result": result(ids.index(served["id"]))}
            client.post(f"/api/tasks/{served['id']}/annotations/", json=made).raise_for_status()
        status = backend.wait_for(project, settled(9), 240)
        last = queue(client, project, status["version"])
        assert len(last) == TASKS - 9
        for item in last.values():
            check_answers(item["result"], config)
        backend.run("disconnect", "--project", str(project), "--delete-predictions")
        check_undone(client, before)


def check_answers(results: list[dict[str, Any]], config: LabelConfig) -> None:
    """Check that each question is answered once, as its control answers."""
    assert sorted(item["from_name"] for item in results) == sorted(INPUTS)
    for item in results:
        name, value = item["from_name"], item["value"]
        assert item["to_name"] == INPUTS[name]
        assert item["type"] == ("rating" if name == "stars" else "choices")
        if name == "stars":
            assert value["rating"] in (1, 2, 3, 4)
        elif name == "place":
            known = [["Outside"], ["Outside", "Sea"], ["Outside", "Street"], ["Inside"]]
            assert all(path in [*known, ["Inside", "cuisine"]] for path in value["choices"])
            assert value["choices"]
        else:
            classes = next(t.classes for t in config.schema.targets if t.name == name)
            assert set(value["choices"]) <= set(classes)
            assert name != "mood" or len(value["choices"]) == 1
    assert not read_tasks([{"id": 1, "annotations": [{"result": results}]}], config).unread


EVERY = f"""
<View>
  <Text name="a" value="$a"/><Text name="b" value="$b"/>
  <Choices name="one" toName="a"><Choice value="A" alias="x"/><Choice value="B, c"/></Choices>
  <Choices name="many" toName="a" choice="multiple"><Choice value="A"/><View><Choice value="B"/>
  </View></Choices>
  <Choices name="nested" toName="b" allowNested="true">{PLACES}</Choices>
  <Choices name="tree" toName="b" choice="multiple" allowNested="true">{PLACES}</Choices>
  <Taxonomy name="taxonomy" toName="a">{PLACES}</Taxonomy>
  <Rating name="stars" toName="a" maxRating="7"/>
  <Number name="number" toName="a" min="0" max="9"/>
  <Pairwise name="pair" toName="a,b"/>
</View>
"""


def outputs(config: LabelConfig, rows: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return outputs of a model that is sure of another class in every row."""
    found = {}
    for target in config.schema.targets:
        if target.kind is TargetKind.REGRESSION:
            found[target.name] = np.arange(1.0, rows + 1)
        else:
            found[target.name] = np.eye(len(target.classes))[np.arange(rows) % len(target.classes)]
    return found


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
def test_the_editor_stores_a_prediction_as_it_was_made(
    label_studio: LabelStudio, make_project: Callable[..., int]
) -> None:
    """An annotator who submits what is shown says what was predicted, question by question."""
    from playwright.sync_api import sync_playwright

    config, rows = parse(EVERY), 5
    model = outputs(config, rows)
    project = make_project("every control", EVERY, show_collab_predictions=True)
    with label_studio.client() as client, sync_playwright() as browsers:
        ids = import_tasks(client, project, [{"data": {"a": "one", "b": "two"}}] * rows)
        given = [
            {
                "task": task,
                "result": prediction_result(config, model, row, importable=True),
                "score": 0.5,
                "model_version": "v1",
            }
            for row, task in enumerate(ids)
        ]
        path = f"/api/projects/{project}/import/predictions"
        assert client.post(path, json=given).json()["created"] == rows
        client.patch(f"/api/projects/{project}/", json={"model_version": "v1"}).raise_for_status()
        page = browsers.chromium.launch(executable_path=CHROMIUM, args=QUIET).new_page()
        page.set_default_timeout(180_000)
        page.goto(f"{label_studio.url}/user/login/")
        page.fill("input[name=email]", label_studio.credentials.username)
        page.fill("input[name=password]", label_studio.credentials.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "login" not in url, wait_until="commit")
        for row, task in enumerate(ids):
            page.goto(f"{label_studio.url}/projects/{project}/data?task={task}")
            page.get_by_role("button", name="Submit").click()
            page.wait_for_timeout(500)
            assert answers(client, config, task) == answered(config, given[row]["result"])
        page.context.browser.close()  # type: ignore[union-attr]


def answers(client: httpx.Client, config: LabelConfig, task: int) -> dict[str, Any]:
    """Return what the stored annotation of a task says, once it is there."""
    for _ in range(50):
        stored = client.get(f"/api/tasks/{task}/annotations/").json()
        if stored:
            return answered(config, stored[0]["result"])
    raise AssertionError("the editor stored nothing")


def answered(config: LabelConfig, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what results say, as a person's annotation."""
    read = read_tasks([{"id": 1, "annotations": [{"result": results}]}], config)
    assert not read.unread
    return dict(read.labelled[0].values)
