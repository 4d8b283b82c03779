"""Two servers with a disk each, on one PostgreSQL and one bucket: either answers for the other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from backend.labelstudio.config import parse
from backend.settings import Settings
from backend.store import rankings
from backend.store.store import Store, open_store
from backend.store.tables import Kind
from strategies import Pool, Selection
from tests.backend import postgresql
from tests.backend.s3 import S3
from tests.backend.server.test_protocol import CONFIG, predict_body
from tests.e2e.server import Equipoise

TASKS = [10, 11, 12]


def server(folder: Path, database: str, s3: S3) -> Equipoise:
    """Return a server with a folder of its own; no Label Studio listens where it should."""
    shared = {
        "EQUIPOISE_STORE_URL": database,
        "EQUIPOISE_ARTIFACTS_URL": s3.url,
        "EQUIPOISE_WORKER_IN_WAITING": "false",
    }
    return Equipoise(folder, "http://127.0.0.1:9", "key", shared)


def commit(store: Store, order: list[int]) -> str:
    """Rank the tasks in an order, as a round does on a machine of its own; returns the version."""
    store.save_project(3, label_config=CONFIG)
    claim = store.claim(3, Kind.TRAIN, "entropy", "test", {})
    assert claim is not None
    found = store.round(claim.round)
    selection = Selection(order=np.array(order), scores=np.array([0.1, 0.2, 0.3]))
    schema = parse(CONFIG).schema
    outputs = {"label": np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])}
    table = rankings.build(TASKS, Pool(size=3), selection, outputs, schema, {})
    rankings.save(table, store.path(found.folder) / "ranking.parquet")
    store.artifacts.publish(found.folder)
    store.commit(claim, schema=schema.to_json(), pool=3)
    return found.version


def order_of(replica: Equipoise, version: str) -> list[int]:
    """Return the places of the tasks in the order that a server answers with."""
    body = predict_body(*({"id": task, "data": {"text": "x"}} for task in TASKS))
    answer = httpx.post(f"{replica.url}/predict", json=body, timeout=60)
    results: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
    assert {item["model_version"] for item in results} == {version}
    assert [item["result"][0]["value"]["choices"] for item in results] == [["A"], ["B"], ["A"]]
    return [round(2 * item["score"]) for item in results]


@pytest.fixture
def database() -> Iterator[str]:
    """Run a PostgreSQL server."""
    with postgresql.running() as address:
        yield address


def test_a_server_serves_what_another_machine_has_ranked(
    database: str, s3: S3, tmp_path: Path
) -> None:
    elsewhere = Settings(data_dir=tmp_path / "ranked", store_url=database, artifacts_url=s3.url)
    store = open_store(elsewhere)
    version = commit(store, [2, 1, 0])
    one, two = (server(tmp_path / name, database, s3) for name in ("one", "two"))
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Equipoise.start, (one, two)))
        assert order_of(one, version) == order_of(two, version) == [2, 1, 0]
        newer = commit(store, [0, 2, 1])
        assert order_of(two, newer) == order_of(one, newer) == [0, 2, 1]
        one.stop()
        s3.refuses = True
        assert order_of(two, newer) == [0, 2, 1], "it goes on serving what it has"
    finally:
        for replica in (one, two):
            replica.stop()
        store.close()
