"""The wire protocol with bodies as a real Label Studio 1.23.2 sends them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from backend.labelstudio.config import parse
from backend.server.app import create_app
from backend.settings import Settings
from backend.store import rankings as ranking
from backend.store.store import Store
from backend.store.tables import Kind
from strategies import Pool, Selection

CONFIG = (
    '<View><Text name="txt" value="$text"/><Choices name="label" toName="txt">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
VERSION = "equipoise-r0001-entropy"
NETWORKS = {"torch", "PIL", "av", "soundfile"}
RATING = '<View><Text name="t" value="$text"/><Rating name="r" toName="t"/></View>'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store without projects."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def client(store: Store, tmp_path: Path) -> Iterator[TestClient]:
    """Return a client of the application; nothing listens where Label Studio should be."""
    settings = Settings(
        label_studio_url="http://127.0.0.1:9",
        api_key="key",
        data_dir=tmp_path,
        poll_seconds=3600,
        worker_in_waiting=False,
    )
    with TestClient(
        create_app(settings, store), base_url="http://127.0.0.1:9090", raise_server_exceptions=False
    ) as client:
        yield client


def setup_body(**more: Any) -> dict[str, Any]:
    """Return the body of /setup."""
    return {
        "project": "3.1795312716",
        "schema": CONFIG,
        "hostname": "http://localhost:8080",
        "access_token": "legacy",
        "extra_params": None,
        **more,
    }


def predict_body(*tasks: dict[str, Any], config: str = CONFIG) -> dict[str, Any]:
    """Return the body of /predict."""
    return {
        "tasks": list(tasks),
        "project": "3.1795313106",
        "label_config": config,
        "params": {"login": None, "password": None, "context": None},
    }


def commit_ranking(store: Store) -> None:
    """Commit a round that ranks tasks 12, 11, 10 with known outputs."""
    store.save_project(3, label_config=CONFIG)
    claim = store.claim(3, Kind.TRAIN, "entropy", "test", {})
    assert claim is not None
    schema = parse(CONFIG).schema
    table = ranking.build(
        [10, 11, 12],
        Pool(size=3),
        Selection(order=np.array([2, 1, 0]), scores=np.array([0.1, 0.2, 0.3])),
        {"label": np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])},
        schema,
        {"strategy": "entropy", "round": 1, "model_version": VERSION},
    )
    folder = store.round(claim.round).folder
    ranking.save(table, store.path(folder) / "ranking.parquet")
    store.artifacts.publish(folder)
    store.commit(claim, schema=schema.to_json(), pool=3)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        *((one, NETWORKS) for one in ("server.app", "queue.connect", "queue.media_check")),
        ("rounds.process", {"sklearn", "scipy.stats", "pandas", "transformers"}),
    ],
)
def test_what_starts_loads_only_what_it_needs(module: str, heavy: set[str]) -> None:
    """Servers and commands load no network and no decoder, which a file of a task could end."""
    look = f"import sys, backend.{module}; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_default_strategy_fits_a_rating(client: TestClient) -> None:
    assert client.post("/setup", json=setup_body(schema=RATING)).status_code == 200
    assert client.get("/api/projects/3/status").json()["strategy"] == "auto"


def test_setup_twice_is_the_same_and_names_a_version(client: TestClient) -> None:
    first = client.post("/setup", json=setup_body())
    second = client.post("/setup", json=setup_body(extra_params={"strategy": "grace"}))
    assert first.json() == second.json() == {"model_version": "equipoise-r0000"}
    assert client.get("/api/projects/3/status").json()["strategy"] == "grace"
    client.post("/setup", json=setup_body())  # the null of a health check forgets nothing
    assert client.get("/api/projects/3/status").json()["strategy"] == "grace"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schema": "<View/>"}, "Supported"),
        ({"extra_params": {"strategy": "best"}}, "bmmal"),
        ({"extra_params": {"batch": -1}}, "batch"),
        ({"schema": RATING, "extra_params": {"strategy": "badge"}}, "not defined for 'r'"),
        ({"extra_params": "strategy=grace"}, "JSON object"),
        ({"project": "x"}, "project id"),
    ],
)
def test_setup_refuses_with_a_reason(client: TestClient, change: Any, named: str) -> None:
    answer = client.post("/setup", json=setup_body(**change))
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def test_ranked_tasks_are_answered_in_order_from_the_ranking(
    client: TestClient, store: Store
) -> None:
    commit_ranking(store)
    results = client.post(
        "/predict", json=predict_body({"id": 10, "data": {}}, {"id": 12, "data": {}})
    ).json()["results"]
    assert [item["score"] for item in results] == [1.0, 0.0]
    assert results[0] == {
        "result": [
            {
                "from_name": "label",
                "to_name": "txt",
                "type": "choices",
                "score": 0.9,
                "value": {"choices": ["A"]},
            }
        ],
        "score": 1.0,
        "model_version": VERSION,
    }
    assert client.post("/setup", json=setup_body()).json() == {"model_version": VERSION}
    assert client.get("/versions").json() == {"versions": [VERSION]}
    assert client.post("/versions", json={"project": "3.1"}).json() == {"versions": [VERSION]}


def test_predictions_are_never_null_and_never_nan(client: TestClient, store: Store) -> None:
    strange: list[Any] = [{}, {"id": None}, {"id": "x", "data": 3}, {"id": 99, "data": {"text": 1}}]
    for prepare in (lambda: None, lambda: commit_ranking(store)):
        prepare()
        results = client.post("/predict", json=predict_body(*strange)).json()["results"]
        assert len(results) == len(strange)
        for item in results:
            assert item["result"] == []
            assert math.isfinite(item["score"])
            assert item["model_version"].startswith("equipoise-")


def test_a_changed_config_gets_no_labels_of_the_old_one(client: TestClient, store: Store) -> None:
    commit_ranking(store)
    config = CONFIG.replace('value="B"', 'value="C"')
    body = predict_body({"id": 10, "data": {}}, config=config)
    (item,) = client.post("/predict", json=body).json()["results"]
    assert item["result"] == []
    assert item["score"] == 1.0


@pytest.mark.parametrize(
    "action",
    [
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_DELETED",
        "ANNOTATIONS_CREATED",
        "TASKS_CREATED",
        "TASKS_DELETED",
        "PROJECT_UPDATED",
    ],
)
def test_events_of_our_projects_are_counted(client: TestClient, store: Store, action: str) -> None:
    store.save_project(60, connected=False)
    answer = client.post(
        "/webhook", json={"action": action, "annotations": [{"id": 1}], "project": {"id": 60}}
    )
    assert answer.status_code == 201
    assert answer.json() == {}
    assert store.project(60).changes == 1


def test_deleted_tasks_are_noted_by_name(client: TestClient, store: Store) -> None:
    store.save_project(60)
    tasks = [{"id": 5}, {"id": "6"}, {"id": True}, {"id": -1}, {"id": 2**40}, None, {"id": 7}]
    for named in (tasks, None, {"id": 8}, "9"):
        body = {"action": "TASKS_DELETED", "tasks": named, "project": {"id": 60}}
        assert client.post("/webhook", json=body).status_code == 201
    body = {"action": "TASKS_CREATED", "tasks": [{"id": 10}], "project": {"id": 60}}
    assert client.post("/webhook", json=body).status_code == 201
    assert store.mirror(60).named()[1] == {5, 7}


def test_start_training_is_noted_on_both_paths(client: TestClient, store: Store) -> None:
    store.save_project(60)
    for path, body in (
        ("/webhook", {"action": "START_TRAINING", "project": {"id": 60}}),
        ("/train", {"annotations": [], "project": "60.1795312716", "label_config": CONFIG}),
    ):
        store.save_project(60, requested={})
        assert client.post(path, json=body).status_code == 201
        assert store.project(60).requested["kind"] == "train"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "ANNOTATION_CREATED"},
        {"action": "ANNOTATION_CREATED", "project": None},
        {"action": "ANNOTATION_CREATED", "project": {"id": 61}},
        {"action": "ANNOTATION_CREATED", "project": {"id": "x"}},
        {"action": "ANNOTATION_CREATED", "project": {"id": [1]}},
        {"action": "NEW_EVENT", "project": {"id": 60}},
    ],
)
def test_events_that_are_not_ours_are_let_pass(
    client: TestClient, store: Store, body: dict[str, Any]
) -> None:
    store.save_project(60)
    assert client.post("/webhook", json=body).status_code == 201
    assert store.project(60).changes == 0


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook", "/train"])
@pytest.mark.parametrize("body", ["", "null", "[]", "3", "{", '{"tasks": 3}', '"x"'])
def test_garbage_is_refused_not_crashed_on(client: TestClient, path: str, body: str) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500 or answer.status_code == 201
    json.loads(answer.content)


def test_unknown_projects_are_404_with_a_way_out(client: TestClient) -> None:
    answer = client.get("/api/projects/9/status")
    assert answer.status_code == 404
    assert "equipoise connect --project 9" in answer.json()["detail"]


def test_the_page_shows_projects_and_escapes_what_people_typed(
    client: TestClient, store: Store
) -> None:
    commit_ranking(store)
    store.save_project(3, title="<script>alert(1)</script>")
    page = client.get("/", headers={"Accept": "text/html"}).text
    assert VERSION in page
    assert "<script>" not in page


def test_metrics_are_there(client: TestClient, store: Store) -> None:
    commit_ranking(store)
    client.post("/predict", json=predict_body({"id": 10, "data": {}}))
    text = client.get("/metrics").text
    assert 'equipoise_rounds{project="3",state="done"} 1.0' in text
    assert "equipoise_predict_seconds_count" in text


def test_setup_refuses_another_label_studio_s_project_of_the_same_id(
    client: TestClient, store: Store
) -> None:
    assert client.post("/setup", json=setup_body()).status_code == 200
    assert store.project(3).created == "1795312716"
    theirs = {"schema": CONFIG.replace("A", "Z"), "extra_params": {"batch": 7}}
    answer = client.post("/setup", json=setup_body(project="3.1799999999", **theirs))
    assert answer.status_code == 400
    assert "another data_dir" in answer.json()["detail"]
    assert store.project(3).label_config == CONFIG
    assert store.project(3).extra_params == {}
    assert client.post("/setup", json=setup_body(project=3)).status_code == 200


def test_upstream_s_requests_are_answered(client: TestClient, store: Store) -> None:
    """As label-studio-ml-backend's own tests post them: no project, one task as an object."""
    task = {"id": 10, "data": {"text": "x"}}
    for project in ({}, {"project": None}, {"project": ""}):
        for tasks in ([task], task):
            answer = client.post(
                "/predict", json={"tasks": tasks, "label_config": CONFIG} | project
            )
            assert answer.status_code == 200
            (item,) = answer.json()["results"]
            assert item["result"] == []
    commit_ranking(store)
    answer = client.post("/predict", json={"tasks": {**task, "project": 3}, "label_config": CONFIG})
    assert answer.json()["results"][0]["model_version"] == VERSION


def test_the_root_is_a_page_for_people_and_health_for_programs(client: TestClient) -> None:
    page = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    for accept in ("application/json", "*/*"):
        assert client.get("/", headers={"Accept": accept}).json()["status"] == "UP"
