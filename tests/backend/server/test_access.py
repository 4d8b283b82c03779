"""Basic auth and the limit on bodies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from backend.server.access import Gate


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

    app.add_middleware(Gate, auth=("user", "pass:word"), max_body=100, hosts=["testserver"])
    with TestClient(app) as client:
        yield client


def test_only_health_is_open(client: TestClient) -> None:
    assert client.get("/health").status_code == 200
    answer = client.post("/echo", content=b"x")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_the_password_lets_in(client: TestClient) -> None:
    assert client.post("/echo", content=b"x", auth=("user", "pass:word")).json() == 1


JUNK = "Basic dXNlcjpw!YXNzOndvcmQ="
"""The right password, with a character that base64 has not."""


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Bearer x", "Basic dXNlcg==", "basic dXNlcjpwYXNz", "é", JUNK]
)
def test_anything_else_does_not(client: TestClient, header: str) -> None:
    headers = {b"authorization": header.encode("latin-1")}
    assert client.post("/echo", content=b"x", headers=headers).status_code == 401


def test_large_bodies_are_refused(client: TestClient) -> None:
    answer = client.post("/echo", content=b"x" * 101, auth=("user", "pass:word"))
    assert answer.status_code == 413


def test_a_length_past_all_numbers_is_refused(client: TestClient) -> None:
    headers = {"Content-Length": "9" * 5000}
    answer = client.post("/echo", content=b"x", auth=("user", "pass:word"), headers=headers)
    assert answer.status_code == 413


def guarded(auth: tuple[str, str] | None) -> TestClient:
    """Return a client of an application whose events need a secret."""
    app = FastAPI()
    for path in ("/webhook", "/train", "/predict"):
        app.add_api_route(path, lambda: {}, methods=["POST"])
    app.add_middleware(Gate, auth=auth, max_body=100, hosts=["testserver"], webhook_secret="s3cret")
    return TestClient(app)


@pytest.mark.parametrize("path", ["/webhook", "/train"])
@pytest.mark.parametrize("auth", [None, ("user", "pass:word")])
def test_events_need_the_secret(path: str, auth: tuple[str, str] | None) -> None:
    client = guarded(auth)
    assert client.post(path).status_code == 401
    for wrong in ("", "s3cre", "s3cret ", "S3CRET", "s3cret, s3cret", "\xe9"):
        value = wrong.encode("latin-1") + b"x" * (wrong == "s3cret ")
        assert client.post(path, headers={b"x-equipoise-secret": value}).status_code == 401
    assert client.post(path, headers={"X-Equipoise-Secret": "s3cret"}).status_code == 200


def test_the_password_lets_events_in_too_but_the_secret_nothing_else() -> None:
    client = guarded(("user", "pass:word"))
    assert client.post("/webhook", auth=("user", "pass:word")).status_code == 200
    assert client.post("/webhook", auth=("user", "wrong")).status_code == 401
    secret = {"X-Equipoise-Secret": "s3cret"}
    assert client.post("/predict", headers=secret).status_code == 401
    assert guarded(None).post("/webhook", auth=("user", "pass:word")).status_code == 401
