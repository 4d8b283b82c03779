"""Worker processes as the server sees them: one waits, loaded, and takes the next round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.rounds.executor import Workers
from backend.settings import ProjectSettings, Settings
from backend.store.store import Claim, Store
from backend.store.tables import Kind, State
from tests.backend.studio import FakeStudio


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Return settings of a Label Studio that workers can read from their environment."""
    with FakeStudio(10) as studio:
        monkeypatch.setenv("EQUIPOISE_LABEL_STUDIO_URL", studio.url)
        monkeypatch.setenv("EQUIPOISE_API_KEY", "key")
        monkeypatch.setenv("EQUIPOISE_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("EQUIPOISE_MIN_FREE_BYTES", "0")
        yield Settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Return a store with the connected projects 1 and 2."""
    opened = Store(settings.database, settings.data_dir)
    for project in (1, 2):
        opened.save_project(project, connected=True)
    yield opened
    opened.close()


@pytest.fixture
def workers(store: Store, settings: Settings) -> Iterator[Workers]:
    """Return the workers of a server; all are ended afterwards."""
    found = Workers(store, settings)
    yield found
    found.stop()


def claimed(store: Store, project: int) -> Claim:
    """Claim a round of training; there are no labels, so it fails as soon as it runs."""
    options = {"settings": ProjectSettings().model_dump()}
    claim = store.claim(project, Kind.TRAIN, "bmmal", "test", options)
    assert claim is not None
    return claim


def until(what: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def listed(pid: int) -> str:
    """Return what a process listing shows of a process, its environment included."""
    folder = Path(f"/proc/{pid}")
    return (folder / "cmdline").read_text() + (folder / "environ").read_text()


def test_the_waiting_worker_takes_the_next_round_and_only_one_waits(
    workers: Workers, store: Store
) -> None:
    workers.prepare()
    waiting = workers._waiting
    assert waiting is not None
    workers.prepare()
    assert workers._waiting is waiting
    claim = claimed(store, 1)
    workers.start(1, claim)
    assert workers._running[1].process is waiting
    assert claim.token not in listed(waiting.pid)
    assert 1 in workers
    workers.prepare()
    assert workers._waiting is None, "the round needs the processor"
    until(lambda: workers.ended(1) is not None)
    found = store.round(claim.round)
    assert (found.state, found.error) == (State.FAILED, "No task is labelled with 'label' yet.")
    workers.forget(1)
    workers.prepare()
    assert workers._waiting is not None


def test_a_waiting_worker_that_died_is_replaced(workers: Workers, store: Store) -> None:
    workers.prepare()
    dead = workers._waiting
    assert dead is not None
    dead.kill()
    dead.wait()
    claim = claimed(store, 2)
    workers.start(2, claim)
    assert workers._running[2].process is not dead
    until(lambda: workers.ended(2) is not None)
    assert store.round(claim.round).state == State.FAILED


def test_a_worker_ends_with_the_server_that_it_waits_for(workers: Workers) -> None:
    workers.prepare()
    waiting = workers._waiting
    assert waiting is not None
    assert waiting.stdin is not None
    waiting.stdin.close()  # what the kernel does when the server dies
    assert waiting.wait(timeout=120) == 0


def test_none_waits_where_that_is_not_wanted(store: Store, settings: Settings) -> None:
    workers = Workers(store, settings.model_copy(update={"worker_in_waiting": False}))
    workers.prepare()
    assert workers._waiting is None
