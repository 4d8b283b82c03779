"""Who is let in by name and origin; and that requests do not wait for, or multiply, each other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from backend.labelstudio.circuit import Circuits
from backend.predictions import served
from backend.predictions.served import Serving
from backend.server import metrics, ml_backend
from backend.server.app import create_app
from backend.settings import Settings
from backend.store import bucket, rankings
from backend.store.store import Store, open_store
from tests.backend.server.test_protocol import commit_ranking, predict_body, setup_body


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store without projects."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of a server beside which no Label Studio is."""
    return Settings(
        label_studio_url="http://127.0.0.1:9",
        api_key="key",
        data_dir=tmp_path,
        poll_seconds=3600,
        worker_in_waiting=False,
        public_url="http://equipoise.example:9090",
        trusted_hosts=["*.lab.example"],
    )


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    """Return a client of the application."""
    store.save_project(3)
    with TestClient(create_app(settings, store), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("equipoise.example:9090", True),
        ("equipoise.example", True),
        ("127.0.0.1:9090", True),
        ("[::1]:9090", True),
        ("localhost:9090", True),
        ("192.168.7.7:9090", True),  # no page can be served from there but ours
        ("a.lab.example", True),
        ("lab.example", False),
        ("rebound.attacker.example:9090", False),
        ("equipoise.example.attacker.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_only_our_names_are_answered(client: TestClient, host: str, known: bool) -> None:
    for path in ("/", "/api/projects", "/metrics"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == (200 if known else 403), path
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:9090", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://equipoise.example:9090"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://attacker.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[::1"}, False),
        ({"Origin": "http://equipoise.example:x"}, False),
        ({"Origin": "http://127.0.0.1:3000"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_a_page_of_another_site_changes_nothing(
    client: TestClient, headers: dict[str, str], allowed: bool
) -> None:
    named = {"Host": "127.0.0.1:9090", **headers}
    for action in ("cancel", "retrain"):
        form = client.post(f"/api/projects/3/{action}", data={"x": "y"}, headers=named)
        assert form.status_code == (202 if allowed else 403)
    assert client.get("/api/projects", headers=named).status_code == 200


@pytest.mark.parametrize(
    "public",
    ["https://Labels.example/equipoise", "https://labels.example:443", "HTTPS://labels.example"],
)
def test_our_own_page_behind_a_proxy_may_change_things(
    store: Store, settings: Settings, public: str
) -> None:
    """A browser names a page's origin without path and usual port, in lower case."""
    store.save_project(3)
    behind = settings.model_copy(update={"public_url": public})
    with TestClient(create_app(behind, store)) as client:
        for origin, allowed in (
            ("https://labels.example", True),
            ("http://labels.example", False),
            ("https://labels.example:8443", False),
            ("https://labels.example.attacker.example", False),
        ):
            named = {"Host": "127.0.0.1:9090", "Origin": origin}
            form = client.post("/api/projects/3/cancel", headers=named)
            assert form.status_code == (202 if allowed else 403), origin


def test_one_ranking_is_loaded_once_however_many_ask(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_ranking(store)
    loads = []

    def slow(path: Path) -> Any:
        loads.append(path)
        time.sleep(0.2)
        return load(path)

    load = rankings.load_answers
    monkeypatch.setattr(served.ranking, "load_answers", slow)
    serving = Serving(store, settings)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: serving.refresh(3), range(20)))
    assert len({id(one) for one in found}) == 1
    assert len(loads) == 1


def test_while_a_bucket_does_not_answer_the_version_before_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_PAUSE", 0.0)
    shared = tmp_path / "shared"
    shared.mkdir()
    database = f"sqlite:///{tmp_path / 'store.db'}"
    made, here = (
        Settings(data_dir=tmp_path / name, store_url=database, artifacts_url=f"file://{shared}")
        for name in ("elsewhere", "here")
    )
    ranked, store = open_store(made), open_store(here)
    serving = Serving(store, here)
    commit_ranking(ranked)
    before = serving.refresh(3)
    assert before is not None
    commit_ranking(ranked)
    shared.rename(tmp_path / "away")
    shared.write_text("no folder any more")
    assert serving.refresh(3) is before
    shared.unlink()
    (tmp_path / "away").rename(shared)
    found = serving.refresh(3)
    assert found is not None
    assert found.round.id != before.round.id
    ranked.close()
    store.close()


def test_scrapes_at_once_lose_nothing(store: Store, settings: Settings) -> None:
    for project in range(1, 9):
        store.save_project(project, title="p", connected=True)

    def series(_: int) -> int:
        text = metrics.exposition(store, settings, Circuits()).decode()
        families = text_string_to_metric_families(text)
        return sum(len(f.samples) for f in families if f.name.startswith("equipoise_rounds"))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(series, range(64))) == {8 * 5}


def test_setup_makes_no_rows_without_bound(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ml_backend, "_UNCONFIRMED", 5)
    named = {"Host": "127.0.0.1:9090"}
    store.save_project(3, connected=True)
    for project in range(10, 30):
        body = setup_body(project=f"{project}.1")
        answer = client.post("/setup", json=body, headers=named)
        assert answer.json() == {"model_version": "equipoise-r0000"}
    assert len(store.projects()) == 6
    client.post("/setup", json=setup_body(project="3.1"), headers=named)
    assert store.project(3).label_config


def test_a_stored_setting_that_is_refused_now_hides_no_other_project(
    client: TestClient, store: Store
) -> None:
    """It made the page, and every project's status, answer 400."""
    store.save_project(4, extra_params={"batch": "many"})
    header = {"Host": "127.0.0.1:9090", "Accept": "text/html"}
    assert client.get("/", headers=header).status_code == 200
    told = {
        found["project"]: found["problem"]
        for found in client.get("/api/projects", headers=header).json()
    }
    assert "batch" in told[4]
    assert told[3] == ""


@pytest.fixture
def live(store: Store, settings: Settings) -> Iterator[str]:
    """Run the application, and return its address."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings, store), port=0, log_level="error", log_config=None)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=20)


def test_health_waits_for_nobody(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty-five slow predictions took all threads, and /health 9 seconds."""
    monkeypatch.setattr(Serving, "predict", lambda *_: time.sleep(3) or [])
    with ThreadPoolExecutor(45) as pool, httpx.Client(trust_env=False, timeout=60) as http:
        body = predict_body({"id": 1, "data": {}})
        asked = [pool.submit(http.post, f"{live}/predict", json=body) for _ in range(45)]
        time.sleep(1)
        begun = time.monotonic()
        assert http.get(f"{live}/health").status_code == 200
        assert http.post(f"{live}/setup", json=setup_body()).status_code == 200
        assert time.monotonic() - begun < 2
        assert {found.result().status_code for found in asked} == {200}


def test_a_caller_that_hangs_up_is_worked_for_no_more(
    live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose work has begun, and those that still wait for a thread."""
    begun: list[str] = []
    ended: list[str] = []

    def predict(_: Serving, project: int, tasks: Any, config: str, gone: Any) -> list[Any]:
        begun.append(config)
        if config != "last":
            gone.result(timeout=60)
        ended.append(config)
        return []

    monkeypatch.setattr(Serving, "predict", predict)
    with httpx.Client(trust_env=False) as http, ThreadPoolExecutor(45) as pool:

        def ask(name: str, seconds: float) -> int:
            body = predict_body({"id": 1, "data": {}}, config=name)
            return http.post(f"{live}/predict", json=body, timeout=seconds).status_code

        asked = [pool.submit(ask, "has a thread", 6) for _ in range(ml_backend._AT_ONCE)]
        while len(begun) < len(asked):
            time.sleep(0.01)
        asked += [pool.submit(ask, "waits for one", 1) for _ in range(5)]
        assert {type(found.exception()) for found in asked} == {httpx.ReadTimeout}
        assert ask("last", 30) == 200
    assert begun == ["has a thread"] * ml_backend._AT_ONCE + ["last"]
    assert sorted(begun) == sorted(ended)


def test_a_large_body_keeps_nobody_waiting(live: str) -> None:
    """json.loads keeps every thread waiting until it is done, the garbage collector for .4 s."""
    task = {"id": 1, "data": {"text": "word " * 100}, "annotations": [{"result": [{"a": [1]}]}]}
    body = json.dumps({"tasks": [task] * 90_000, "label_config": "<View/>", "n": 1.5}).encode()
    begun = time.monotonic()
    json.loads(body)
    whole = time.monotonic() - begun
    longest = [_longest_wait(live, body)]
    while longest[-1] >= max(1.0, whole / 2) and len(longest) < 3:  # the processor was elsewhere?
        longest.append(_longest_wait(live, body))
    print(f"{len(body) / 1e6:.0f} MB, json.loads {whole:.2f} s: /health {longest} s at most")
    assert longest[-1] < max(1.0, whole / 2)


def _longest_wait(live: str, body: bytes) -> float:
    """Return how long /health took at most while a body was answered."""
    waits: list[float] = []
    with httpx.Client(trust_env=False, timeout=60) as http, ThreadPoolExecutor(1) as pool:
        header = {"Content-Type": "application/json"}
        asked = pool.submit(http.post, f"{live}/predict", content=body, headers=header)
        while not asked.done():
            begun = time.monotonic()
            assert http.get(f"{live}/health").status_code == 200
            waits.append(time.monotonic() - begun)
        assert len(asked.result().json()["results"]) == 90_000
    return max(waits)


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"tasks": [' + b"1," * 100_000, b"\xff" * 200_000]
)
def test_large_bodies_that_are_no_json_are_refused(client: TestClient, body: bytes) -> None:
    header = {"Host": "127.0.0.1:9090", "Content-Type": "application/json"}
    assert client.post("/predict", content=body, headers=header).status_code in (400, 422)
