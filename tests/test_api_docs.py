"""docs/api.md names every endpoint, and its examples are what the application answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from backend.labelstudio.config import parse
from backend.server.app import create_app
from backend.settings import Settings
from backend.store import rankings as ranking
from backend.store.store import Store
from backend.store.tables import Kind
from strategies import Pool, Selection

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
PROJECT = 37
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="label" toName="text">'
    '<Choice value="yes"/><Choice value="no"/></Choices></View>'
)
VARIES = {"finished", "seconds", "checkpoint", "free_bytes", "rounds_bytes"}
"""Fields whose value differs from run to run; only their type is compared."""


class Example(NamedTuple):
    """One endpoint of the page: what is sent and what comes back."""

    method: str
    path: str
    status: int
    body: Any
    answer: Any


def examples() -> list[Example]:
    """Read the page's endpoints in order."""
    found = []
    for section in re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        heading = re.match(r"`(\w+) (\S+)` → (\d+)\n", section)
        assert heading, section.splitlines()[0]
        blocks = {
            title: json.loads(block)
            for title, block in re.findall(r"^(Body|Answer):\n+```json\n(.*?)```", section, 16 | 8)
        }
        found.append(
            Example(
                heading[1], heading[2], int(heading[3]), blocks.get("Body"), blocks.get("Answer")
            )
        )
    return found


def commit_round(store: Store) -> None:
    """Commit the round that the page's examples talk about."""
    store.save_project(PROJECT, title="Reviews", label_config=CONFIG, connected=True)
    claim = store.claim(PROJECT, Kind.TRAIN, "bmmal", "20 new labels", {})
    assert claim is not None
    version = store.round(claim.round).version
    schema = parse(CONFIG).schema
    outputs = {"label": np.array([[0.625, 0.375], [0.25, 0.75], [0.5, 0.5]])}
    table = ranking.build(
        [101, 102, 103],
        Pool(size=3),
        Selection(order=np.array([2, 0, 1]), scores=np.array([0.3, 0.2, 0.5])),
        outputs,
        schema,
        {"strategy": "bmmal", "round": 1, "model_version": version},
    )
    ranking.save(table, store.path(store.round(claim.round).folder) / "ranking.parquet")
    store.commit(
        claim,
        published=3,
        labels=20,
        pool=3,
        tasks=23,
        schema=schema.to_json(),
        checkpoint=f"projects/{PROJECT}/{version}/checkpoint",
        durations={"fetch": 0.4, "encode": 1.1, "train": 6.2, "rank": 0.3, "publish": 0.5},
        metrics={"pool_contribution:text": 1.0},
        work={
            "order": {"strategy": "bmmal", "because": ""},
            "sees": {"text": ["minilm", "ngrams"]},
        },
    )
    store.save_project(PROJECT, announced=version)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """Return a client of an application without reconciler: nothing leaves this process."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    commit_round(store)
    settings = Settings(label_studio_url="http://127.0.0.1:9", api_key="key", data_dir=tmp_path)
    yield TestClient(create_app(settings, store), base_url="http://127.0.0.1:9090")
    store.close()


def same(shown: Any, real: Any, name: str = "answer") -> None:
    """Compare an example with an answer; of values that vary, only the type."""
    if name in VARIES:
        assert isinstance(real, type(shown)), name
    elif isinstance(shown, dict):
        assert list(shown) == list(real), name
        for key, value in shown.items():
            same(value, real[key], key)
    elif isinstance(shown, list):
        assert len(shown) == len(real), name
        for one, other in zip(shown, real, strict=True):
            same(one, other, name)
    else:
        assert shown == real, name


@pytest.mark.parametrize("example", examples(), ids=lambda found: f"{found.method} {found.path}")
def test_the_example_is_what_is_answered(client: TestClient, example: Example) -> None:
    path = example.path.replace("{project}", str(PROJECT)).replace("{action}", "check")
    path = path.replace("{task}", "101").replace("{place}", "0")
    answer = client.request(example.method, path, json=example.body)
    assert answer.status_code == example.status
    if example.answer is not None:
        same(example.answer, answer.json())


def test_every_endpoint_is_on_the_page(client: TestClient) -> None:
    routes = {
        (method, route.path)
        for route in client.app.routes  # type: ignore[attr-defined]
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert routes == {(found.method, found.path) for found in examples()} | {("POST", "/versions")}


def test_the_errors_are_as_told(client: TestClient) -> None:
    assert client.get("/api/projects/999/status").status_code == 404
    assert client.post("/setup", json={"project": "?", "schema": CONFIG}).status_code == 400
    assert client.post("/predict", json={"tasks": "none"}).status_code == 422
