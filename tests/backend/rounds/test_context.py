# ruff: noqa: F401, F811 - fixtures are imported
"""What every phase of a round shares: the lease that is kept, progress that is noted, the end."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from backend.errors import RoundLost
from backend.labelstudio.client import LabelStudio
from backend.rounds import context
from backend.rounds.context import HUNG, Run
from backend.settings import ProjectSettings, Settings
from backend.store import lease
from backend.store.store import Store
from tests.backend.media.broken import settings, start, store, studio
from tests.backend.studio import FakeStudio


@pytest.fixture
def run(store: Store, studio: FakeStudio) -> Run:
    """Return a round that has just begun."""
    claim = start(store)
    client = LabelStudio(studio.url, "key")
    return Run(store, Settings(), client, claim, store.round(claim.round), ProjectSettings())


def noted(run: Run) -> tuple[str, int, int]:
    """Return what the store knows of a round's progress."""
    found = run.store.round(run.claim.round)
    return found.phase, found.done, found.total


def until(happens: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_phase_is_noted_from_its_beginning_and_timed(run: Run) -> None:
    with run.phase("train"):
        assert noted(run) == ("train", 0, 0)
        run.progress("train", 3, 8)
        assert noted(run) == ("train", 3, 8)
        time.sleep(0.05)
    assert 0.05 <= run.durations["train"] < 10
    with run.phase("rank"):
        assert noted(run) == ("rank", 0, 0), "the next one begins anew"


def test_progress_is_noted_once_a_second(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(context.time, "monotonic", lambda: now[0])
    run.progress("train", 1, 8)
    now[0] += 0.99
    run.progress("train", 2, 8)
    assert noted(run)[1] == 1
    now[0] += 0.01
    run.progress("train", 3, 8)
    assert noted(run)[1] == 3


def test_whoever_lost_the_lease_goes_no_further(run: Run) -> None:
    run.store.cancel(1)
    with pytest.raises(RoundLost), run.phase("train"):
        raise AssertionError("the phase was entered")
    with pytest.raises(RoundLost):
        run.progress("train", 1, 8)


def test_the_heartbeat_renews_until_the_lease_is_lost(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.04)
    renewed: list[int] = []
    renew = run.store.renew

    def counted(*asked: object, **more: object) -> None:
        renew(*asked, **more)  # type: ignore[arg-type]
        renewed.append(1)

    monkeypatch.setattr(run.store, "renew", counted)
    with run.heartbeat():
        until(lambda: len(renewed) > 2)
        run.progress("train", 1, 8)
        run.store.cancel(1)
        until(run._lost.is_set)
        with pytest.raises(RoundLost, match="cancelled or taken over"):
            run.progress("train", 2, 8)  # within the second in which nothing is noted


@pytest.mark.parametrize(("since", "ends"), [(2.9, False), (3.1, True)])
def test_a_decoder_that_hangs_ends_the_process(
    run: Run, monkeypatch: pytest.MonkeyPatch, since: float, ends: bool
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.04)
    run.settings = Settings(decode_timeout=3.0)
    ended: list[int] = []
    beats: list[int] = []

    def oldest() -> float:
        beats.append(1)
        return since

    monkeypatch.setattr(run.decode_log, "oldest", oldest)
    monkeypatch.setattr(context.os, "_exit", ended.append)
    with run.heartbeat():
        until(lambda: len(beats) > 2)
    assert bool(ended) is ends
    assert set(ended) <= {HUNG}
