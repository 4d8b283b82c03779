"""`equipoise doctor` is green on a connected project and names each thing that is broken."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backend.labelstudio.client import LabelStudio as Studio
from backend.queue.connect import connect
from backend.queue.doctor import examine
from backend.settings import Settings
from backend.store.store import open_store
from demo.labelstudio import LabelStudio
from tests.e2e.conftest import DigitsProject
from tests.e2e.server import Equipoise

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


class Examined:
    """Doctor and connect in this process: the command line's own start would take minutes here."""

    def __init__(self, backend: Equipoise, studio: Studio, project: int) -> None:
        self.settings = Settings(
            label_studio_url=backend.studio_url,
            api_key=backend.api_key,
            port=backend.port,
            data_dir=backend.folder / "data",
            basic_auth_user="u",
            basic_auth_pass="p",
        )
        self.project = project
        self.store = open_store(self.settings)
        self.studio = studio

    def failing(self) -> set[str]:
        """Return the names of the checks that are not ok."""
        checks = examine(self.studio, self.store, self.settings, self.project)
        assert all(check.fix for check in checks if not check.ok)
        return {check.name for check in checks if not check.ok}

    def connect(self) -> None:
        """Run `connect`."""
        connect(self.studio, self.store, self.settings, self.project)


def test_each_broken_condition_is_named_and_connect_mends_it(
    label_studio: LabelStudio,
    make_digits_project: Callable[..., DigitsProject],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    project = make_digits_project(30).id
    # The poll is slow here, so that what is broken on purpose stays broken for the doctor.
    backend = make_equipoise(poll_seconds="3600", basic_auth_user="u", basic_auth_pass="p")
    assert "fix: run `equipoise connect" in backend.run(
        "doctor", "--project", str(project), fails=True
    )
    backend.run("connect", "--project", str(project))
    backend.wait_for_version(project, "equipoise-r0000-max_herding")
    assert "FAIL" not in backend.run("doctor", "--project", str(project))

    with (
        label_studio.client() as client,
        Studio(label_studio.url, label_studio.api_key) as studio,
    ):
        here = Examined(backend, studio, project)
        hook = mine(client.get("/api/webhooks/", params={"project": project}).json(), project)
        row = client.get("/api/ml", params={"project": project}).json()[0]
        tab = next(t for t in client.get("/api/dm/views/", params={"project": project}).json())

        def patch(**fields: Any) -> Callable[[], httpx.Response]:
            return lambda: client.patch(f"/api/projects/{project}/", json=fields)

        breakages: list[tuple[str, Callable[[], httpx.Response], bool]] = [
            ("sampling", patch(sampling="Sequential sampling"), True),
            ("project.model_version", patch(show_collab_predictions=False), True),
            (
                "webhook",
                lambda: client.patch(f"/api/webhooks/{hook['id']}/", json={"headers": {}}),
                True,
            ),
            (
                "webhook",
                lambda: client.patch(f"/api/webhooks/{hook['id']}/", json={"is_active": False}),
                True,
            ),
            (
                "backend title",
                lambda: client.patch(
                    f"/api/ml/{row['id']}",
                    json={**here.settings.backend_fields, "title": "mine", "project": project},
                ),
                True,
            ),
            ("Data Manager tab", lambda: client.delete(f"/api/dm/views/{tab['id']}/"), True),
            (
                "Label Studio's own training trigger",
                patch(min_annotations_to_start_training=3),
                True,
            ),
            ("annotations per task", patch(maximum_annotations=2), False),
        ]
        for name, act, mended in breakages:
            assert act().is_success, name
            assert name in here.failing(), name
            here.connect()
            assert (name not in here.failing()) == mended, name
        client.patch(f"/api/projects/{project}/", json={"maximum_annotations": 1})

        # Predictions that somebody deleted.
        client.request(
            "DELETE",
            f"/api/projects/{project}/model-versions",
            json={"model_version": "equipoise-r0000-max_herding"},
        )
        assert "predictions of this version" in here.failing()

        # The server itself is down.
        backend.stop()
        assert "backend reachable from Label Studio" in here.failing()
    printed = backend.run("doctor", "--project", str(project), fails=True)
    assert "FAIL backend reachable from Label Studio" in printed
    assert "fix: start `equipoise serve`" in printed


def test_disconnect_takes_everything_back(
    label_studio: LabelStudio,
    make_digits_project: Callable[..., DigitsProject],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    project = make_digits_project(10, sampling="Uniform sampling").id
    backend = make_equipoise()
    backend.run("connect", "--project", str(project))
    backend.wait_for_version(project, "equipoise-r0000-max_herding")
    printed = backend.run("disconnect", "--project", str(project), "--delete-predictions")
    assert "deleted 10 predictions" in printed
    with label_studio.client() as client:
        assert client.get("/api/ml", params={"project": project}).json() == []
        hooks = client.get("/api/webhooks/", params={"project": project}).json()
        assert not [hook for hook in hooks if hook["project"] == project]
        assert client.get("/api/dm/views/", params={"project": project}).json() == []
        assert client.get(f"/api/projects/{project}/").json()["sampling"] == "Uniform sampling"


def test_a_backend_pasted_by_hand_connects_and_a_disconnected_one_stays_so(
    label_studio: LabelStudio,
    make_digits_project: Callable[..., DigitsProject],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    project = make_digits_project(10).id
    backend = make_equipoise(poll_seconds="2")
    with label_studio.client() as client:
        body = {"url": backend.url, "project": project, "title": "typed by a person"}
        assert client.post("/api/ml", json=body).status_code == 201
        backend.wait_for_version(project, "equipoise-r0000-max_herding")
        assert "FAIL" not in backend.run("doctor", "--project", str(project))
        backend.run("disconnect", "--project", str(project))
        time.sleep(8)  # several polls
        assert client.get("/api/ml", params={"project": project}).json() == []
        assert not backend.status(project)["connected"]


def test_a_personal_access_token_works_as_well(
    label_studio: LabelStudio,
    make_digits_project: Callable[..., DigitsProject],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    project = make_digits_project(5).id
    backend = make_equipoise(api_key=label_studio.personal_access_token())
    backend.run("connect", "--project", str(project))
    backend.wait_for_version(project, "equipoise-r0000-max_herding")
    assert "FAIL" not in backend.run("doctor", "--project", str(project))


def test_a_wrong_token_and_an_unsupported_project_are_explained(
    make_project: Callable[..., int],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    config = '<View><Text name="t" value="always the same"/><TextArea name="a" toName="t"/></View>'
    project = make_project("unsupported", config)
    backend = make_equipoise()
    printed = backend.run("connect", "--project", str(project), fails=True)
    assert "the same in every task" in printed
    assert "Supported inputs" in printed
    assert "Traceback" not in printed
    backend.api_key = "0" * 40
    printed = backend.run("doctor", "--project", str(project), fails=True)
    assert "EQUIPOISE_API_KEY" in printed


def mine(hooks: list[dict[str, Any]], project: int) -> dict[str, Any]:
    """Return the project's webhook."""
    return next(hook for hook in hooks if hook["project"] == project)
