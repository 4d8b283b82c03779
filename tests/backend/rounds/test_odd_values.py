# ruff: noqa: F401, F811 - fixtures are imported
"""Task data as nobody expects them: a round goes through, and the page shows what came of it."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from backend.server.app import create_app
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind, State
from tests.backend.rounds.test_pipeline import (
    LABELLED,
    TASKS,
    Run,
    config,
    queue,
    run,
    store,
    studio,
)
from tests.backend.rounds.test_steer import why
from tests.backend.studio import FakeStudio

HALF = "half \ud83d of a pair"


@pytest.mark.parametrize("preset", ["quick", "auto"])
def test_half_a_pair_in_a_text_is_learned_from_ranked_and_shown(
    studio: FakeStudio, store: Store, config: Settings, run: Run, preset: str
) -> None:
    own = {"preset": preset, "overrides": {}} if preset == "auto" else {}
    own["only"] = {"lang": ["en"]}  # what does not meet it is named in the ranking's sentences
    for task in (1, TASKS):
        studio.data[task] = {**studio.data[task], "text": HALF, "lang": HALF}
    for kind in (Kind.COLD, Kind.TRAIN):
        found = run(kind, "auto", **own)
        assert (found.state, found.failures) == (State.DONE, {})
        assert TASKS in queue(studio, found.version)
    assert found.labels == LABELLED
    assert "put off: lang is half ? of a pair" in why(store, found)[TASKS]
    with TestClient(create_app(config, store), base_url="http://127.0.0.1:9090") as client:
        for path in ("/projects/1", "/projects/1/map", "/api/projects/1/status", "/metrics"):
            assert client.get(path).status_code == 200, path
