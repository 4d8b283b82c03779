"""Leases, numbers, versions and the commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from backend.errors import Busy, NoRoom, NotConnected, RoundLost, StoreError
from backend.settings import Settings
from backend.store import claims as store_module
from backend.store import disk, lease
from backend.store.store import Claim, Store
from backend.store.tables import Kind, State
from model.cache import FeatureCache


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
    assert store.round(old.round).state == State.INTERRUPTED
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
    store.commit(claim(store), trained_on={"4": "b"})
    store.commit(claim(store), trained_on={"5": "a"})
    store.commit(claim(store, Kind.RANK))
    assert store.trained_on(1) == {"5": "a"}
    with store.engine.connect() as connection:
        kept = connection.execute(text("SELECT trained_on FROM rounds ORDER BY id")).scalars().all()
    assert kept == ["{}", '{"5": "a"}', "{}"], "older lists of labels do not pile up"


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
    assert left == {Path(folder).name, Path(current.folder).name}


def test_one_process_at_a_time_sets_a_project_up(store: Store, tmp_path: Path) -> None:
    other = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    with store.alone(1):
        with pytest.raises(Busy, match="project 1"), other.alone(1, wait=0.3):
            pass
        with other.alone(2, wait=0.0):
            pass
    with other.alone(1, wait=0.0):
        pass
    other.close()


def test_the_right_to_set_up_ends_with_the_process_that_had_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.5)
    assert lease.take(store._sessions, "project:1", "of a process that died")
    with store.alone(1, wait=5.0):
        pass


def test_of_many_that_wait_one_goes_at_a_time(store: Store, tmp_path: Path) -> None:
    inside: list[int] = []

    def work(_: int) -> int:
        own = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
        with own.alone(1, wait=60.0):
            inside.append(1)
            most = len(inside)
            time.sleep(0.05)
            inside.pop()
        own.close()
        return most

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(6))) == [1] * 6


def test_a_folder_that_cannot_be_written_to_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(StoreError, match="taken"):
        Store(f"sqlite:///{tmp_path / 'other.db'}", taken)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write wherever a disk lets it
    with pytest.raises(StoreError, match="Nothing can be written"):
        Store(f"sqlite:///{tmp_path / 'other.db'}", tmp_path)
    with pytest.raises(NoRoom, match="Nothing can be written"):
        disk.check(tmp_path, 0)


def test_a_new_folder_is_its_owner_s_alone(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "data"
    Store(f"sqlite:///{folder / 'store.db'}", folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_disk_is_walked_once_for_a_page_of_projects(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[int] = []
    size = FeatureCache.size
    monkeypatch.setattr(FeatureCache, "size", lambda self: walked.append(1) or size(self))
    settings = Settings(data_dir=tmp_path)
    settings.cache.mkdir()
    monkeypatch.setattr(disk.time, "monotonic", lambda: 5.0)
    assert len({str(disk.usage(store, settings)["cache_bytes"]) for _ in range(5)}) == 1
    assert len(walked) == 1
    monkeypatch.setattr(disk.time, "monotonic", lambda: 15.0)
    disk.usage(store, settings)
    assert len(walked) == 2, "and again some seconds later"
