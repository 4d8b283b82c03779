"""`make compat` runs these; `make test` does not: Label Studio's own tests take five minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Equipoise


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip everything here unless it was asked for."""
    if not os.environ.get("EQUIPOISE_COMPAT"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="run by make compat"))


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Equipoise]:
    """Run a server of ours; its Label Studio does not answer."""
    extra = {"EQUIPOISE_WORKER_IN_WAITING": "false", "EQUIPOISE_POLL_SECONDS": "3600"}
    server = Equipoise(tmp_path_factory.mktemp("live"), "http://127.0.0.1:9", "key", extra)
    yield server.start()
    server.stop()
