"""Basic auth and the limit on bodies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from backend.gate import Gate


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Return a client of a guarded application."""
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {}

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(Gate, auth=("user", "pass:word"), max_body=100)
    with TestClient(app) as client:
        yield client


def test_only_health_is_open(client: TestClient) -> None:
    assert client.get("/health").status_code == 200
    answer = client.post("/echo", content=b"x")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_the_password_lets_in(client: TestClient) -> None:
    assert client.post("/echo", content=b"x", auth=("user", "pass:word")).json() == 1


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Bearer x", "Basic dXNlcg==", "basic dXNlcjpwYXNz", "é"]
)
def test_anything_else_does_not(client: TestClient, header: str) -> None:
    headers = {b"authorization": header.encode("latin-1")}
    assert client.post("/echo", content=b"x", headers=headers).status_code == 401


def test_large_bodies_are_refused(client: TestClient) -> None:
    answer = client.post("/echo", content=b"x" * 101, auth=("user", "pass:word"))
    assert answer.status_code == 413
