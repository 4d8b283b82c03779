# ruff: noqa: F401, F811 - fixtures are imported
"""Disks without room: rounds stop, the server does not, and both say so."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from backend.errors import NoRoom
from backend.labelstudio.client import LabelStudio
from backend.page.status import status
from backend.predictions.served import Serving
from backend.rounds.context import Run
from backend.rounds.loop import Reconciler
from backend.settings import ProjectSettings, Settings
from backend.store import disk
from backend.store.store import Store
from backend.store.tables import Kind
from tests.backend.media.broken import settings, start, store, studio
from tests.backend.studio import FakeStudio


def test_too_little_room_is_said_with_the_figures(tmp_path: Path) -> None:
    disk.check(tmp_path, 0)
    with pytest.raises(NoRoom, match=r"MB are free .* 1,000,000,000,000 MB are wanted"):
        disk.check(tmp_path, 10**18)


def test_a_full_disk_is_recognised() -> None:
    assert disk.is_full(OSError(errno.ENOSPC, "No space left on device"))
    assert not disk.is_full(OSError(errno.ENOENT, "No such file"))
    assert disk.is_full(RuntimeError("[Errno 28] Error writing: No space left on device"))
    for said, full in (
        ("database or disk is full", True),
        ('could not extend file "base/1/2": No space left on device', True),
        ("database is locked", False),
    ):
        assert disk.is_full(OperationalError("INSERT", {}, RuntimeError(said))) is full


def test_a_round_stops_where_room_runs_out(
    store: Store, studio: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = start(store)
    monkeypatch.setenv("EQUIPOISE_MIN_FREE_BYTES", str(10**18))
    with LabelStudio(studio.url, "key") as client:
        found = store.round(claim.round)
        run = Run(store, Settings(), client, claim, found, ProjectSettings())
        with pytest.raises(NoRoom, match="no round runs"), run.phase("fetch"):
            pass
        with pytest.raises(NoRoom, match="no round runs"):
            run.progress("prepare", 1, 2)


def test_no_round_starts_without_room(store: Store, studio: FakeStudio) -> None:
    settings = Settings(min_free_bytes=10**18)
    reconciler = Reconciler(store, settings, Serving(store, settings))
    store.request(1, Kind.TRAIN, "asked for")
    reconciler.look(1)
    assert store.rounds(1) == []
    owner = store.project(1)
    assert "no round runs until there is room" in owner.problem
    assert owner.requested, "it starts when there is room"


def test_the_status_tells_of_a_full_disk_though_nothing_can_be_stored(store: Store) -> None:
    told = status(store, Settings(min_free_bytes=10**18), 1)["problem"]
    assert "no round runs until there is room" in told
    assert store.project(1).problem == ""
    assert status(store, Settings(min_free_bytes=0), 1)["problem"] == ""
