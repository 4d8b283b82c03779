"""`equipoise rollback`, `backup` and `restore` as a person uses them, against Label Studio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from demo.labelstudio import LabelStudio
from tests.e2e.conftest import DigitsProject
from tests.e2e.server import Equipoise

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SIZE, LABELLED = 60, 30


def test_an_earlier_version_serves_again_and_a_restored_server_goes_on(
    label_studio: LabelStudio,
    make_digits_project: Callable[..., DigitsProject],
    make_equipoise: Callable[..., Equipoise],
    tmp_path: Path,
) -> None:
    project = make_digits_project(SIZE)
    tasks = list(project.labels)
    for task in tasks[:20]:
        project.annotate(task)
    backend = make_equipoise(retrain_after="10", keep_versions="1")
    backend.run("connect", "--project", str(project.id))
    first = backend.wait_for(project.id, lambda s: s["round"] == 1 and s["state"] == "idle", 300)
    for task in tasks[20:LABELLED]:
        project.annotate(task)
    second = backend.wait_for(
        project.id, lambda s: s["labels"] == LABELLED and s["state"] == "idle", 300
    )

    with label_studio.client() as client:

        def wanted(version: str, tasks_left: int) -> None:
            """The queue names a version, whose predictions are all there."""
            assert client.get(f"/api/projects/{project.id}/").json()["model_version"] == version
            assert predictions(client, project.id)[version] == tasks_left

        wanted(second["version"], SIZE - LABELLED)
        # Only one version is kept in Label Studio: the earlier one is stored again.
        backend.wait_for(
            project.id, lambda _: first["version"] not in predictions(client, project.id)
        )
        printed = backend.run("rollback", "--project", str(project.id), "--to", first["version"])
        assert "serves again" in printed
        assert f"{SIZE - LABELLED} stored again" in printed
        wanted(first["version"], SIZE - LABELLED)
        assert backend.status(project.id)["rolled_back"]
        body = {"tasks": [{"id": tasks[-1], "data": {}}], "project": str(project.id)}
        config = client.get(f"/api/projects/{project.id}/").json()["label_config"]
        answer = backend.post("/predict", {**body, "label_config": config}).json()
        assert answer["results"][0]["model_version"] == first["version"]
        told = backend.run(
            "rollback", "--project", str(project.id), "--to", "equipoise-r0099-none", fails=True
        )
        assert second["version"] in told, "the message names what there is"

        # A copy taken while the server runs; everything is lost; the copy goes on.
        copy = tmp_path / "copy.tar"
        backend.run("backup", "--out", str(copy))
        backend.stop()
        backend.folder.rename(tmp_path / "lost")
        backend.run("restore", str(copy))
        backend.start()
        assert backend.status(project.id)["version"] == first["version"]
        assert backend.post("/predict", {**body, "label_config": config}).json() == answer
        for task in tasks[LABELLED : LABELLED + 10]:
            project.annotate(task)
        third = backend.wait_for(
            project.id, lambda s: s["labels"] == LABELLED + 10 and s["state"] == "idle", 300
        )
        assert not third["rolled_back"]
        assert third["version"] not in (first["version"], second["version"])
        wanted(third["version"], SIZE - LABELLED - 10)


def predictions(client: httpx.Client, project: int) -> dict[str, int]:
    """Return how many predictions Label Studio holds by version."""
    path = f"/api/projects/{project}/model-versions"
    found: dict[str, int] = client.get(path).raise_for_status().json()
    return found
