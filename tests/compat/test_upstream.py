"""What label-studio-ml-backend's tests ask of any backend, asked of ours while it runs.

Theirs are tests/test_api.py and label_studio_ml/examples/*/test_api.py; here are the requests and
what must be true of the answers. What one model predicts is no rule for others. Not kept, on
purpose: their /setup with `<View></View>` is answered 200; ours says in a 400 what it supports,
which Label Studio shows to whoever adds the backend.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.server import Equipoise

TEXT = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">'
    '<Choice value="Positive"/><Choice value="Negative"/></Choices></View>'
)
IMAGE = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">'
    '<Label value="Car"/><Label value="Plane"/></RectangleLabels></View>'
)
TASK = {"id": 1, "data": {"text": "President Obama speaks at 3pm today in New York."}}


@pytest.mark.parametrize("path", ["/health", "/"])
def test_health(live: Equipoise, path: str) -> None:
    answer = httpx.get(live.url + path, trust_env=False)
    assert answer.status_code == 200
    assert answer.json()["status"] == "UP"
    assert answer.json()["model_class"]


def test_metrics(live: Equipoise) -> None:
    assert httpx.get(f"{live.url}/metrics", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("tasks", "more"),
    [
        ({"id": 1}, {"project": "1.1000000000", "params": {"context": {}}}),
        (TASK, {"project": "1.1000000000", "params": {"context": {}}}),
        ([TASK], {}),
        ([{"data": TASK["data"]}], {}),
        ([TASK, {"id": 2, "data": {"image": "https://example.com/a.jpg"}}], {"project": None}),
        ([TASK], {"project": 1, "params": {"login": None, "password": None, "context": None}}),
        ([], {"project": "1"}),
    ],
)
@pytest.mark.parametrize("config", [TEXT, IMAGE, "<View></View>", ""])
def test_predict(live: Equipoise, tasks: Any, more: dict[str, Any], config: str) -> None:
    answer = live.post("/predict", {"tasks": tasks, "label_config": config, **more})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert len(results) == (1 if isinstance(tasks, dict) else len(tasks))
    for item in results:
        assert isinstance(item["result"], list)
        assert isinstance(item["score"], float | int)
        assert item["model_version"]


@pytest.mark.parametrize("config", [TEXT, IMAGE])
@pytest.mark.parametrize("extra", [{}, None, ""])
def test_setup(live: Equipoise, config: str, extra: Any) -> None:
    body = {"project": "1.1000000000", "schema": config, "extra_params": extra}
    answer = live.post("/setup", body)
    assert answer.status_code == 200
    assert answer.json()["model_version"]


def test_setup_with_nothing_to_label_says_why(live: Equipoise) -> None:
    answer = live.post("/setup", {"project": "1.1000000000", "schema": "<View></View>"})
    assert answer.status_code == 400
    assert "Supported" in answer.json()["detail"]


@pytest.mark.parametrize("action", ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "START_TRAINING"])
@pytest.mark.parametrize("project", [{"id": 1, "label_config": TEXT}, {"id": 12345}])
def test_webhook(live: Equipoise, action: str, project: dict[str, Any]) -> None:
    body = {"action": action, "project": project, "annotation": {"project": project["id"]}}
    answer = live.post("/webhook", body)
    assert answer.status_code == 201
    assert answer.json() == {}


def test_train_and_versions(live: Equipoise) -> None:
    assert live.post("/train", {"project": "1.1000000000"}).status_code == 201
    assert isinstance(live.get("/versions?project=1")["versions"], list)
