"""The media of shown tasks over HTTP: whose they are, in what form, and who may have them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from backend.page.tasks import examples
from backend.server.app import create_app
from backend.settings import Settings
from backend.store.store import Store
from tests.backend.media.test_thumbnails import data_uri, png, tone
from tests.backend.page.made import fill
from tests.backend.studio import FakeStudio


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    fill(opened, 1, tasks=300)
    yield opened
    opened.close()


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with FakeStudio(300) as running:
        for task in range(1, 301):
            running.data[task] = {"image": data_uri(png(30, 20)), "audio": data_uri(tone(0.2))}
        yield running


@pytest.fixture
def client(store: Store, tmp_path: Path, studio: FakeStudio) -> Iterator[TestClient]:
    settings = Settings(
        label_studio_url=studio.url, api_key="key", data_dir=tmp_path, min_free_bytes=0
    )
    app = create_app(settings, store)
    yield TestClient(app, base_url="http://127.0.0.1:9090")
    app.state.thumbnails.stop()


def first(store: Store) -> int:
    """Return the task that is first in the order."""
    import pyarrow.parquet as pq

    current = store.current(1)
    assert current is not None
    return int(pq.read_table(store.ranking(current)).column("task")[0].as_py())


def test_a_shown_task_has_its_picture_and_its_sound(client: TestClient, store: Store) -> None:
    at = f"/projects/1/tasks/{first(store)}/media"
    picture = client.get(f"{at}/0")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert picture.content.startswith(b"\xff\xd8")
    assert "sandbox" in picture.headers["content-security-policy"]
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert picture.headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get(f"{at}/1").headers["content-type"] == "image/svg+xml"
    sound = client.get(f"{at}/1/sound")
    assert (sound.content[:4], sound.headers["content-type"]) == (b"RIFF", "audio/wav")
    part = client.get(f"{at}/1/sound", headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, sound.content[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(sound.content)}"
    beyond = client.get(f"{at}/1/sound", headers={"Range": "bytes=999999999-"})
    assert beyond.content == sound.content


def test_nothing_of_other_tasks_is_shown(client: TestClient, store: Store) -> None:
    import pyarrow.parquet as pq

    current = store.current(1)
    assert current is not None
    order = pq.read_table(store.ranking(current)).column("task").to_pylist()
    last = next(task for task in reversed(order) if task not in examples(current))
    on_map = client.get(f"/projects/1/tasks/{last}/media/0")
    assert on_map.headers["content-type"] == "image/jpeg"
    store.ranking(current).with_name("map.parquet").unlink()
    assert client.get(f"/projects/1/tasks/{last}/media/0").status_code == 404
    assert client.get("/projects/1/tasks/4711/media/0").status_code == 404
    assert client.get(f"/projects/1/tasks/{first(store)}/media/2").status_code == 404
    assert client.get(f"/projects/2/tasks/{first(store)}/media/0").status_code == 404
    assert client.get(f"/projects/1/tasks/{first(store)}/media/-1").status_code == 422


def test_the_reason_is_in_the_picture_and_cannot_write_into_it(
    client: TestClient, store: Store, studio: FakeStudio
) -> None:
    task = first(store)
    studio.data[task] = {"image": "</text><script>alert(1)</script>\x00\x1b", "audio": "/data/x"}
    answer = client.get(f"/projects/1/tasks/{task}/media/0")
    assert answer.headers["content-type"] == "image/svg+xml"
    drawing = ElementTree.fromstring(answer.text)
    assert {tag.tag.rpartition("}")[2] for tag in drawing.iter()} == {"svg", "rect", "text"}
    said = "".join(tag.text or "" for tag in drawing.iter())
    assert "not an address: '</text><script>" in said
    sound = client.get(f"/projects/1/tasks/{task}/media/1/sound")
    assert (sound.status_code, sound.text) == (404, "HTTP 404")


def test_a_page_of_another_site_gets_nothing(client: TestClient, store: Store) -> None:
    at = f"/projects/1/tasks/{first(store)}/media/0"
    assert client.get(at, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get(at, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_media_need_the_password_like_everything(
    store: Store, tmp_path: Path, studio: FakeStudio
) -> None:
    settings = Settings(
        label_studio_url=studio.url,
        api_key="key",
        data_dir=tmp_path,
        basic_auth_user="me",
        basic_auth_pass="secret",
    )
    client = TestClient(create_app(settings, store), base_url="http://127.0.0.1:9090")
    at = f"/projects/1/tasks/{first(store)}/media/0"
    assert client.get(at).status_code == 401
