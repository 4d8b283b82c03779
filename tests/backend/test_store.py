"""Leases, numbers, versions and the commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend import store as store_module
from backend.errors import NotConnected, RoundLost
from backend.store import Claim, Store
from backend.tables import Kind, State


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with project 1."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    opened.save_project(1, title="one")
    yield opened
    opened.close()


def claim(store: Store, kind: Kind = Kind.TRAIN, strategy: str = "bmmal") -> Claim:
    """Claim a round that must be free."""
    found = store.claim(1, kind, strategy, "test", {})
    assert found is not None
    return found


def test_an_unknown_project_is_named(store: Store) -> None:
    with pytest.raises(NotConnected, match="connect --project 7"):
        store.project(7)
    with pytest.raises(NotConnected):
        store.claim(7, Kind.TRAIN, "bmmal", "test", {})


def test_one_round_per_project_even_from_two_stores(store: Store, tmp_path: Path) -> None:
    other = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    claim(store)
    assert other.claim(1, Kind.TRAIN, "bmmal", "test", {}) is None
    assert other.running(1) is not None


def test_a_lease_that_ran_out_is_taken_over_and_the_old_owner_can_do_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LEASE_SECONDS", -1.0)
    old = claim(store)
    monkeypatch.undo()
    new = claim(store)
    assert new.round != old.round
    for act in (store.renew, store.commit):
        with pytest.raises(RoundLost):
            act(old)
    store.finish(old, State.DONE)
    assert store.round(old.round).state == State.FAILED
    store.commit(new)
    current = store.current(1)
    assert current is not None
    assert current.id == new.round


def test_cancelling_takes_the_lease_away(store: Store) -> None:
    running = claim(store)
    cancelled = store.cancel(1)
    assert cancelled is not None
    with pytest.raises(RoundLost):
        store.commit(running)
    assert store.current(1) is None
    assert store.round(running.round).state == State.CANCELLED


def test_trained_rounds_count_up_and_failed_ones_do_not(store: Store) -> None:
    cold = claim(store, Kind.COLD, "random")
    assert store.round(cold.round).version == "equipoise-r0000-random"
    store.commit(cold)
    failed = claim(store)
    store.finish(failed, State.FAILED, "why")
    first = claim(store)
    assert store.round(first.round).number == 1
    store.commit(first)
    again = claim(store, Kind.RANK, "grace")
    assert store.round(again.round).version == "equipoise-r0001-grace"
    store.commit(again)
    assert store.round(claim(store).round).number == 2


def test_a_version_name_is_never_used_twice(store: Store) -> None:
    names = set()
    for _ in range(3):
        found = claim(store)
        names.add(store.round(found.round).version)
        store.finish(found, State.FAILED)
    assert len(names) == 3


def test_what_was_trained_on_comes_from_the_newest_trained_round(store: Store) -> None:
    store.commit(claim(store), trained_on={"5": "a"})
    store.commit(claim(store, Kind.RANK))
    assert store.trained_on(1) == {"5": "a"}


def test_events_that_come_during_a_comparison_stay_counted(store: Store) -> None:
    for _ in range(3):
        store.mark_changed(1)
    seen = store.project(1).changes
    store.mark_changed(1)
    store.forget_changes(1, seen)
    assert store.project(1).changes == 1


def test_pruning_keeps_the_newest_rounds_and_the_checkpoint_in_use(
    store: Store, tmp_path: Path
) -> None:
    base = claim(store)
    folder = store.round(base.round).folder
    (store.path(folder) / "checkpoint").mkdir(parents=True)
    store.commit(base, checkpoint=f"{folder}/checkpoint")
    for _ in range(3):
        again = claim(store, Kind.RANK)
        store.path(store.round(again.round).folder).mkdir(parents=True)
        store.commit(again, checkpoint=f"{folder}/checkpoint")
    store.prune_files(1, keep=1)
    left = {path.name for path in (tmp_path / "projects" / "1").iterdir()}
    current = store.current(1)
    assert current is not None
    assert left == {Path(folder).name, current.version}
