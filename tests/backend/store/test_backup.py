"""Backup and restore: consistent while written to, whole or not at all, and no way out."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backend.errors import EquipoiseError, StoreError
from backend.settings import Settings
from backend.store.backup import BadArchive, backup, restore
from backend.store.store import Store, open_store
from backend.store.tables import Kind, State


def settings_in(folder: Path, **more: Any) -> Settings:
    """Return settings with their data in a folder."""
    return Settings(data_dir=folder, **more)


def finish(store: Store, kind: Kind = Kind.TRAIN) -> str:
    """Commit a round with a ranking and a checkpoint and return its version."""
    claim = store.claim(1, kind, "bmmal", "test", {})
    assert claim is not None
    found = store.round(claim.round)
    folder = store.path(found.folder)
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "model.json").write_text("{}")
    store.ranking(found).write_bytes(os.urandom(5000))
    store.commit(claim, checkpoint=f"{found.folder}/checkpoint")
    return found.version


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a store with two finished rounds, a failed one, and a cache."""
    config = settings_in(tmp_path / "data")
    store = open_store(config)
    store.save_project(1, title="one", overrides={"batch": 7})
    finish(store)
    finish(store)
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    store.path(store.round(claim.round).folder).mkdir()
    (store.path(store.round(claim.round).folder) / "ranking.parquet").write_text("half")
    store.finish(claim, State.FAILED, "why")
    (store.files / "cache" / "x").mkdir(parents=True)
    store.close()
    return config


@pytest.fixture
def archive(settings: Settings, tmp_path: Path) -> Path:
    """Return a backup of it."""
    store = open_store(settings)
    backup(settings, store, tmp_path / "backup.tar")
    store.close()
    return tmp_path / "backup.tar"


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder's rounds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "projects").rglob("*"))
        if path.is_file()
    }


def test_what_was_backed_up_is_there_again(
    settings: Settings, archive: Path, tmp_path: Path
) -> None:
    assert archive.stat().st_mode & 0o077 == 0
    target = settings_in(tmp_path / "other")
    restore(target, archive)
    expected = {name: b for name, b in tree(settings.data_dir).items() if "r0003" not in name}
    assert tree(target.data_dir) == expected
    assert len(expected) == 4
    store = open_store(target)
    assert store.project(1).overrides == {"batch": 7}
    current = store.current(1)
    assert current is not None
    assert store.ranking(current).is_file()
    assert len(store.rounds(1)) == 3
    store.close()
    assert {entry.name for entry in target.data_dir.iterdir()} == {"projects", "equipoise.db"}


def test_it_is_consistent_while_the_server_writes(settings: Settings, tmp_path: Path) -> None:
    stop, written = threading.Event(), [0]
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(keep_writing, settings, stop, written)
        try:
            for number in range(4):
                before = written[0]
                while written[0] < before + 3:  # the writer is at work, and goes on meanwhile
                    assert not writer.done(), writer.exception()
                    time.sleep(0.01)
                store = open_store(settings)
                backup(settings, store, tmp_path / f"{number}.tar")
                store.close()
                copy = settings_in(tmp_path / f"copy{number}")
                restore(copy, tmp_path / f"{number}.tar")
                assert len(complete_rounds(copy)) >= before
        finally:
            stop.set()
        writer.result(timeout=60)


def keep_writing(settings: Settings, stop: threading.Event, written: list[int]) -> None:
    """Commit rounds and prune old ones until told to stop; `written` counts them."""
    store = open_store(settings)
    while not stop.is_set():
        finish(store)
        store.prune_files(1, keep=3)
        written[0] += 1
        stop.wait(0.02)  # no round is faster
    store.close()


def complete_rounds(settings: Settings) -> list[str]:
    """Return the versions of a store's finished rounds; what the newest names is there, whole."""
    store = open_store(settings)
    current = store.current(1)
    assert current is not None
    assert store.ranking(current).stat().st_size == 5000
    assert (store.path(current.checkpoint) / "model.json").read_text() == "{}"
    done = [found.version for found in store.rounds(1) if found.state == State.DONE]
    assert done[-1] == current.version
    store.close()
    return done


def test_a_folder_with_a_store_is_never_written_over(settings: Settings, archive: Path) -> None:
    before = tree(settings.data_dir)
    with pytest.raises(EquipoiseError, match="not empty"):
        restore(settings, archive)
    assert tree(settings.data_dir) == before


def test_a_cache_that_is_there_already_is_kept(archive: Path, tmp_path: Path) -> None:
    kept = tmp_path / "other" / "cache" / "encoder" / "values.arrow"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"prepared before")
    restore(settings_in(tmp_path / "other"), archive)
    assert kept.read_bytes() == b"prepared before"
    assert len(complete_rounds(settings_in(tmp_path / "other"))) == 2


def test_a_restore_that_was_killed_can_be_repeated(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "other"
    (target / ".restoring").mkdir(parents=True)
    (target / "projects" / "1").mkdir(parents=True)
    restore(settings_in(target), archive)
    assert len(complete_rounds(settings_in(target))) == 2
    assert not (target / ".restoring").exists()


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.97])
def test_a_truncated_archive_restores_nothing(archive: Path, tmp_path: Path, part: float) -> None:
    content = archive.read_bytes().rstrip(b"\0")
    archive.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(BadArchive):
        restore(settings_in(tmp_path / "other"), archive)
    assert list((tmp_path / "other").iterdir()) == []


def test_a_flipped_bit_is_found(archive: Path, tmp_path: Path) -> None:
    content = bytearray(archive.read_bytes())
    with tarfile.open(archive) as opened:
        place = next(m for m in opened.getmembers() if m.name.endswith("ranking.parquet"))
    content[place.offset_data + 100] ^= 1
    archive.write_bytes(bytes(content))
    with pytest.raises(BadArchive, match="checksum"):
        restore(settings_in(tmp_path / "other"), archive)


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """Return a header."""
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


HOSTILE = {
    "parent": member("../evil"),
    "deep parent": member("projects/1/x/../../../../evil"),
    "absolute": member("/tmp/evil"),
    "symlink": member("projects/1/v/link", tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": member("projects/1/v/link", tarfile.LNKTYPE, linkname="../../../evil"),
    "device": member("projects/1/v/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
    "fifo": member("projects/1/v/fifo", tarfile.FIFOTYPE),
    "folder": member("projects/1/v", tarfile.DIRTYPE),
    "elsewhere": member("equipoise.toml"),
    "in a round's place": member("projects/evil"),
    "hidden name": member("projects/1/v/a\nb"),
    "twice": member("equipoise.db"),
    "unlisted": member("projects/1/equipoise-r0001-bmmal/more.json"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_whole(archive: Path, tmp_path: Path, name: str) -> None:
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(archive) as good, tarfile.open(hostile, "w") as bad:
        for entry in good.getmembers():
            bad.addfile(entry, good.extractfile(entry))
        bad.addfile(HOSTILE[name], io.BytesIO())
    with pytest.raises(BadArchive):
        restore(settings_in(tmp_path / "deep" / "other"), hostile)
    assert list((tmp_path / "deep" / "other").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


def test_compressed_archives_are_not_unpacked(archive: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz") as bad:
        bad.add(archive, "equipoise.db")
    with pytest.raises(BadArchive):
        restore(settings_in(tmp_path / "other"), bomb)


def test_a_store_of_the_future_is_not_restored(settings: Settings, tmp_path: Path) -> None:
    store = open_store(settings)
    with sqlite3.connect(settings.data_dir / "equipoise.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    path = tmp_path / "future.tar"
    with pytest.raises(StoreError, match="0999"):
        backup(settings, store, path)
    assert not path.exists()
    store.close()


def test_a_store_elsewhere_is_not_in_the_archive(settings: Settings, tmp_path: Path) -> None:
    store = open_store(settings)
    elsewhere = settings_in(settings.data_dir, store_url="postgresql+psycopg://host/name")
    lines = backup(elsewhere, store, tmp_path / "files.tar")
    store.close()
    assert "pg_dump" in lines[-1]
    with tarfile.open(tmp_path / "files.tar") as opened:
        assert "equipoise.db" not in opened.getnames()
        manifest = opened.extractfile("manifest.json")
        assert manifest is not None
        assert len(json.load(manifest)["sha256"]) == 4
    with pytest.raises(EquipoiseError, match="no database"):
        restore(settings_in(tmp_path / "other"), tmp_path / "files.tar")
    target = settings_in(tmp_path / "third", store_url="postgresql+psycopg://host/name")
    assert "pg_restore" in restore(target, tmp_path / "files.tar")[-1]
