"""Label Studio's life around a project: deleted, reinstalled, changed by hand, given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread, current_thread
from typing import Any

import pytest

from backend.errors import EquipoiseError, ForeignProject, LabelStudioError
from backend.labelstudio.client import LabelStudio
from backend.queue.connect import connect
from backend.queue.disconnect import disconnect
from backend.queue.doctor import examine
from backend.queue.forget import forget
from backend.queue.naming import name_current
from backend.queue.publish import announce
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind
from tests.backend.studio import FakeStudio

MADE = "2026-11-22T08:25:16.123456Z"
STAMP = "1795335916"


class Changing(FakeStudio):
    """A Label Studio in which people delete and add things.

    Attributes:
        gone: whether the project was deleted.
        backend_id: id of our backend's row, None where there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gone = False
        self.backend_id: int | None = 4
        self.remote["created_at"] = MADE

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer one request."""
        parts = path.strip("/").split("/")[1:]
        if self.gone and parts[0] == "projects":
            return 404, {"detail": "Not found."}
        if parts[0] == "ml" and method == "GET":
            rows = [{**self._backend(), "id": self.backend_id}] if self.backend_id else []
            return 200, rows
        if parts[0] == "ml" and method == "PATCH" and parts[1] != str(self.backend_id):
            return 404, {"detail": "Not found."}
        if parts[0] == "ml" and method == "DELETE":
            # Label Studio forgets the version with its backend's title.
            self.backend_id, self.title, self.remote["model_version"] = None, "", ""
            return 204, None
        if method == "DELETE" and parts[0] == "webhooks":
            self.hooks = []
            return 204, None
        return super().answer(method, path, body)


@pytest.fixture
def studio() -> Iterator[Changing]:
    """Return a Label Studio."""
    with Changing() as running:
        yield running


@pytest.fixture
def client(studio: Changing) -> Iterator[LabelStudio]:
    """Return a connection to it."""
    with LabelStudio(studio.url, "key") as connected:
        yield connected


@pytest.fixture
def settings(studio: Changing, tmp_path: Path) -> Settings:
    """Return the settings."""
    return Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    yield opened
    opened.close()


def round_of(store: Store) -> Path:
    """Commit a round with a file and return its folder."""
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    folder = store.path(store.round(claim.round).folder)
    folder.mkdir(parents=True)
    (folder / "ranking.parquet").write_bytes(b"x")
    store.commit(claim)
    return folder


def test_a_project_deleted_in_label_studio_can_be_forgotten(
    studio: Changing, client: LabelStudio, store: Store, settings: Settings
) -> None:
    connect(client, store, settings, 1)
    folder = round_of(store)
    with pytest.raises(EquipoiseError, match="disconnect --project 1"):
        forget(client, store, 1)
    studio.gone = True
    with pytest.raises(LabelStudioError, match="equipoise forget --project 1"):
        client.project(1)
    (line,) = disconnect(client, store, settings, 1, predictions=False)
    assert "equipoise forget --project 1" in line
    assert not store.project(1).connected
    assert forget(client, store, 1) == 1
    assert not folder.parent.exists()
    assert store.projects() == []


def test_another_label_studio_s_project_of_the_same_id_is_refused(
    studio: Changing, client: LabelStudio, store: Store, settings: Settings
) -> None:
    connect(client, store, settings, 1)
    assert store.project(1).created == STAMP
    store.note_created(1, STAMP)
    store.note_created(1, "")
    with pytest.raises(ForeignProject, match="another data_dir"):
        store.note_created(1, "1799999999")
    studio.remote["created_at"] = "2027-01-01T00:00:00Z"
    with pytest.raises(ForeignProject, match="forget --project 1"):
        connect(client, store, settings, 1)
    assert forget(client, store, 1) == 0
    connect(client, store, settings, 1)


def test_what_was_there_before_is_told_and_comes_back(
    studio: Changing, client: LabelStudio, store: Store, settings: Settings
) -> None:
    studio.remote |= {"sampling": "Uniform sampling", "model_version": "yolo-v3"}
    studio.predictions = [{"id": 90 + i, "task": 1, "model_version": "yolo-v3"} for i in range(3)]
    done = connect(client, store, settings, 1)
    assert "hides other predictions while it is connected: 3 of 'yolo-v3'" in done
    assert studio.remote["model_version"] == "equipoise-r0000"
    connect(client, store, settings, 1)  # again: what was before is still known
    disconnect(client, store, settings, 1, predictions=False)
    assert studio.remote["model_version"] == "yolo-v3"
    assert studio.remote["sampling"] == "Uniform sampling"
    studio.backend_id = 4
    connect(client, store, settings, 1)
    studio.predictions = []
    lines = disconnect(client, store, settings, 1, predictions=False)
    assert any("could not restore model_version='yolo-v3'" in line for line in lines)
    assert not store.project(1).connected


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_an_older_request_overwrites_is_restored_again(
    studio: Changing,
    client: LabelStudio,
    store: Store,
    settings: Settings,
    times: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studio.remote |= {"sampling": "Uniform sampling", "show_collab_predictions": False}
    connect(client, store, settings, 1)
    was = {name: studio.remote[name] for name in ("sampling", "show_collab_predictions")}
    real, late = client.update_project, iter(range(times))

    def saved_over(project: int, **fields: Any) -> Any:
        found = real(project, **fields)
        if "sampling" in fields and next(late, None) is not None:
            studio.remote |= was  # Label Studio saved the project as it was before ours
        return found

    monkeypatch.setattr(client, "update_project", saved_over)
    if times == 3:
        with pytest.raises(LabelStudioError, match="did not keep sampling='Uniform sampling'"):
            disconnect(client, store, settings, 1, predictions=False)
        assert store.project(1).undo["sampling"] == "Uniform sampling", "it may be tried again"
    disconnect(client, store, settings, 1, predictions=False)
    assert studio.remote["sampling"] == "Uniform sampling"
    assert studio.remote["show_collab_predictions"] is False
    assert store.project(1).undo == {}


def test_a_round_that_ends_beside_a_disconnect_names_nothing_any_more(
    studio: Changing,
    client: LabelStudio,
    store: Store,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was connected when the round looked; the disconnect was done when it named its version."""
    studio.remote["model_version"] = "yolo-v3"
    studio.predictions = [{"id": 90, "task": 1, "model_version": "yolo-v3"}]
    connect(client, store, settings, 1)
    round_of(store)
    naming, real = [Thread(target=name_current, args=(client, store, settings, 1))], Store.alone

    def begun(found: Store, project: int, **wait: Any) -> Any:
        if naming and current_thread() is naming[0]:
            waits.set()
        return real(found, project, **wait)

    waits, delete = Event(), client.delete_backend

    def deleted(backend: int) -> None:
        naming[0].start()
        assert waits.wait(10)
        naming[0].join(0.5)
        delete(backend)

    monkeypatch.setattr(Store, "alone", begun)
    monkeypatch.setattr(client, "delete_backend", deleted)
    disconnect(client, store, settings, 1, predictions=False)
    naming[0].join(20)
    assert not naming[0].is_alive()
    assert studio.remote["model_version"] == "yolo-v3"
    assert store.project(1).announced == ""


def test_what_is_named_is_the_version_that_serves_by_then(
    studio: Changing, client: LabelStudio, store: Store, settings: Settings
) -> None:
    connect(client, store, settings, 1)
    for _ in range(2):
        round_of(store)
    first, second = store.rounds(1)
    version = {"model_version": second.version}
    studio.predictions = [{"id": 1, "task": 1, **version}, {"id": 2, "task": 1, **version}]
    studio.predictions[0]["model_version"] = first.version
    assert name_current(client, store, settings, 1)
    assert studio.remote["model_version"] == store.project(1).announced == second.version
    store.roll_back(1, first)  # since its round was committed
    name_current(client, store, settings, 1)
    assert studio.remote["model_version"] == store.project(1).announced == first.version


def test_a_backend_added_again_by_hand_is_found_by_its_address(
    studio: Changing, client: LabelStudio, store: Store, settings: Settings
) -> None:
    connect(client, store, settings, 1)
    studio.backend_id, studio.title = 9, "typed by a person"
    studio.remote["model_version"] = "equipoise-r0001"
    studio.predictions = [{"id": 1, "task": 1, "model_version": "equipoise-r0001"}]
    announce(client, settings, 1, store.project(1).backend_id, "equipoise-r0001")
    assert studio.title == "equipoise-r0001"
    studio.backend_id = None
    with pytest.raises(LabelStudioError, match="was deleted in the settings of project 1"):
        announce(client, settings, 1, 4, "equipoise-r0001")


def test_doctor_warns_of_what_costs_or_tells_too_much(
    studio: Changing, client: LabelStudio, store: Store, settings: Settings
) -> None:
    connect(client, store, settings, 1)

    def noted() -> set[str]:
        return {c.name for c in examine(client, store, settings, 1) if not c.ok and c.warning}

    settings.data_dir.chmod(0o700)
    assert not {"data_dir", "Label Studio's own predictions"} & noted()
    settings.data_dir.chmod(0o755)
    studio.remote["evaluate_predictions_automatically"] = True
    assert {"data_dir", "Label Studio's own predictions"} <= noted()
