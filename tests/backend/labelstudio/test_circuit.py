"""Label Studio down: it is asked rarely, nobody waits for it, and it is found again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_exponential_jitter

from backend.errors import LabelStudioError
from backend.labelstudio import connection as labelstudio
from backend.labelstudio.circuit import FAILURES, FIRST_DELAY, LONGEST_DELAY, Circuit
from backend.labelstudio.client import LabelStudio
from backend.media import download as media
from backend.media.task_media import MediaSource
from backend.predictions.served import Serving
from backend.rounds.loop import Reconciler
from backend.settings import Settings
from backend.store.store import Store
from model.sample import MediaError
from tests.backend.studio import CONFIG, FakeStudio
from tests.stopwatch import Stopwatch


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_it_opens_after_failures_in_a_row_and_tries_rarely() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    for _ in range(FAILURES - 1):
        circuit.failed()
    circuit.succeeded()
    for _ in range(FAILURES):
        assert circuit.admit()
        circuit.failed()
    delays = []
    for _ in range(8):
        assert not circuit.admit()
        delays.append(circuit.waits)
        clock.now += circuit.waits
        assert circuit.admit()
        assert not circuit.admit(), "one trial at a time"
        circuit.failed()
    assert FIRST_DELAY / 2 <= delays[0] <= FIRST_DELAY
    assert delays[-1] > FIRST_DELAY
    assert max(delays) <= LONGEST_DELAY
    assert len(set(delays)) > 4, "no jitter"
    circuit.succeeded()
    assert circuit.admit()
    assert not circuit.is_open


def test_a_call_of_label_studio_brings_the_trial_forward_once() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    for _ in range(FAILURES):
        circuit.failed()
    circuit.hint()
    assert circuit.admit()
    circuit.failed()
    circuit.hint()
    assert not circuit.admit(), "a storm of events is no storm of trials"


def test_retries_have_jitter() -> None:
    for module in (labelstudio, media):
        assert module.wait_exponential_jitter is wait_exponential_jitter
    waits = {wait_exponential_jitter(initial=0.5, max=8)(_State()) for _ in range(5)}  # type: ignore[arg-type]
    assert len(waits) > 1


class _State:
    attempt_number = 1


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a Label Studio."""
    with FakeStudio() as running:
        yield running


def test_the_reconciler_asks_rarely_and_catches_up(tmp_path: Path, studio: FakeStudio) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    store.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    settings = Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)
    serving = Serving(store, settings)
    reconciler = Reconciler(store, settings, serving)
    studio.remote["task_number"] = 0  # nothing is due
    studio.broken = 503
    reconciler.look(1)
    assert "503" in store.project(1).problem
    asked = len(studio.requests)
    assert asked >= FAILURES
    for _ in range(20):
        reconciler.look(1)
    assert len(studio.requests) == asked
    studio.broken = None
    reconciler.hint()
    reconciler.look(1)
    assert store.project(1).problem == ""
    assert not reconciler.circuits.is_open
    store.close()


def test_while_it_is_open_requests_fail_at_once(studio: FakeStudio) -> None:
    circuit = Circuit()
    studio.broken = 500
    with LabelStudio(studio.url, "key", attempts=1, circuit=circuit) as client:
        for _ in range(FAILURES):
            with pytest.raises(LabelStudioError, match="500"):
                client.project(1)
        asked, watch = len(studio.requests), Stopwatch()
        with pytest.raises(LabelStudioError, match="asked again within"):
            client.project(1)
        source = MediaSource(client, Settings(label_studio_url=studio.url))
        with pytest.raises(LabelStudioError, match="asked again within"):
            source.fetch("/data/upload/x.png")
        watch.taken.check(0.25, "two refusals while Label Studio is away")
        assert len(studio.requests) == asked


def test_a_refusal_is_an_answer(studio: FakeStudio) -> None:
    circuit = Circuit()
    studio.broken = 404
    with LabelStudio(studio.url, "key", circuit=circuit) as client:
        for _ in range(2 * FAILURES):
            with pytest.raises(LabelStudioError, match="no project 1"):
                client.project(1)
    assert not circuit.is_open


@pytest.mark.parametrize("healthy", [True, False])
def test_a_file_is_to_blame_only_while_label_studio_is_well(
    studio: FakeStudio, healthy: bool
) -> None:
    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        return (200, {}) if healthy and path == "/health" else (500, {})

    studio.answer = answer  # type: ignore[method-assign]
    with LabelStudio(studio.url, "key") as client:
        source = MediaSource(client, Settings(label_studio_url=studio.url))
        expected = MediaError if healthy else LabelStudioError
        with pytest.raises(expected):
            source.fetch("/data/upload/x.png")
    assert studio.requests.count("GET /data/upload/x.png") == 3


def test_a_server_that_is_gone_fails_the_round_not_the_file() -> None:
    with LabelStudio("http://127.0.0.1:9", "key") as client:
        source = MediaSource(client, Settings(label_studio_url="http://127.0.0.1:9"))
        with pytest.raises(LabelStudioError, match="does not answer while media"):
            source.fetch("/data/upload/x.png")
