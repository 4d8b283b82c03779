"""How a round's process ends: each way has its status, and its note with the round."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from backend.errors import EquipoiseError, LabelStudioError, RoundLost
from backend.rounds.context import GONE
from backend.rounds.ending import Stopped, ended
from backend.rounds.ray_node import UnfitNode
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind, State
from model.cluster import ClusterUnavailable, NodeLost


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    """Return settings of a data folder."""
    return Settings(data_dir=tmp_path)


@pytest.fixture
def store(config: Settings) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(config.database, config.data_dir)
    opened.save_project(1, connected=True)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("error", "status", "state", "lasting", "told"),
    [
        (RoundLost("It is another's."), 3, State.RUNNING, False, ""),
        (Stopped(), 4, State.INTERRUPTED, False, "The server was stopped"),
        (NodeLost("its worker died"), GONE, State.RUNNING, False, ""),
        (ClusterUnavailable("No cluster answers."), 1, State.FAILED, False, "No cluster answers."),
        (UnfitNode("It lacks a key."), 1, State.FAILED, False, "It lacks a key."),
        (EquipoiseError("No label yet."), 1, State.FAILED, True, "No label yet."),
        (LabelStudioError("Silent.", 502), 1, State.FAILED, False, "Silent."),
        (OSError(errno.ENOSPC, "full"), 2, State.FAILED, False, "is full; what serves goes on"),
        (KeyError("x"), 2, State.FAILED, False, "KeyError: 'x'"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_end_has_its_status_and_its_note(
    store: Store,
    config: Settings,
    error: Exception,
    status: int,
    state: State,
    lasting: bool,
    told: str,
) -> None:
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None

    def work() -> NoReturn:
        raise error

    assert ended(store, config, claim, work) == status
    found = store.round(claim.round)
    assert (found.state, found.lasting) == (state, lasting)
    assert told in found.error


def test_a_round_that_goes_well_notes_itself(store: Store, config: Settings) -> None:
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    assert ended(store, config, claim, lambda: 0) == 0
    assert store.round(claim.round).state == State.RUNNING
