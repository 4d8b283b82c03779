"""`equipoise backup` and `restore`: the store and its rounds' files in one checked archive.

An archive is an uncompressed tar: `equipoise.db`, `projects/ID/VERSION/...` and, last,
`manifest.json` with the checksum of every file. What is not exactly like that is not restored.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from backend.errors import EquipoiseError
from backend.settings import Settings
from backend.store.artifacts import Artifacts
from backend.store.bucket import Bucket
from backend.store.migrations import HEAD
from backend.store.store import Store
from backend.store.tables import State

DATABASE, MANIFEST, STAGING = "equipoise.db", "manifest.json", ".restoring"
_ROUND_FILE = re.compile(r"projects/\d{1,18}/[\w.-]+(/[\w.-]+)+")
_NOT_OURS = {"cache", "huggingface", "lost+found"}
"""What may lie in a data folder that is empty: it can be made again, or is not Equipoise's."""
_ATTEMPTS = 10


class BadArchive(EquipoiseError):
    """The archive is damaged, or was not made by `equipoise backup`."""


def backup(settings: Settings, store: Store, out: Path) -> list[str]:
    """Write the store and its finished rounds to an archive; the server may go on meanwhile.

    Returns:
        What was done, and what is still to do, one line each.

    Raises:
        EquipoiseError: rounds were deleted faster than they could be copied.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    for attempt in range(_ATTEMPTS):
        try:
            count = _write(settings, beside, store)
            beside.replace(out)
            break
        except FileNotFoundError as error:  # a round was pruned while its files were copied
            if attempt == _ATTEMPTS - 1:
                raise EquipoiseError(f"A round's file vanished meanwhile: {error}.") from error
        finally:
            beside.unlink(missing_ok=True)
    lines = [f"{count} files, {out.stat().st_size:,} bytes in {out}"]
    if settings.store_url is not None:
        lines.append("files only: back up the database that store_url names with pg_dump")
    return lines


def _write(settings: Settings, path: Path, store: Store) -> int:
    sums: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".equipoise-backup-") as folder,
        open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        if settings.store_url is None:
            copy = Path(folder) / DATABASE
            _copy_database(settings.data_dir / DATABASE, copy)
            _add(archive, copy, DATABASE, sums)
            seen = Store(f"sqlite:///{copy}", Path(folder))
            files = list(_round_files(seen, store.artifacts))
            seen.close()
        else:
            files = list(_round_files(store, store.artifacts))
        for source in files:
            _add(archive, source, str(source.relative_to(store.files)), sums)
        text = {"equipoise": version("equipoise"), "schema": HEAD, "sha256": sums}
        content = json.dumps(text, indent=1).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(content), 0o600
        archive.addfile(info, io.BytesIO(content))
        archive.close()
        file.flush()
        os.fsync(file.fileno())
    return len(sums)


def _copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite store as of one moment, whatever is written to it meanwhile."""
    reading, writing = sqlite3.connect(source, timeout=60), sqlite3.connect(target)
    try:
        reading.backup(writing)
    finally:
        reading.close()
        writing.close()


def _round_files(seen: Store, files: Artifacts) -> Iterator[Path]:
    """Yield the files of the finished rounds that a store names, of those that are still there."""
    folders: dict[str, bool] = {}
    for owner in seen.projects():
        for found in seen.rounds(owner.id):
            if found.state == State.DONE and found.folder:
                needed = found.id == owner.current
                folders[found.folder] = folders.get(found.folder, False) or needed
    for folder, needed in folders.items():
        here = files.bring(folder)
        if needed and not here.is_dir():
            raise FileNotFoundError(here)
        for path in sorted(here.rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.endswith(".writing"):
                yield path


def _add(archive: tarfile.TarFile, source: Path, name: str, sums: dict[str, str]) -> None:
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        reader = _Hashing(file)
        archive.addfile(info, reader)
    sums[name] = reader.digest.hexdigest()


class _Hashing:
    """A file whose content is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read and hash."""
        chunk = self._file.read(size)
        self.digest.update(chunk)
        return chunk


def restore(settings: Settings, path: Path) -> list[str]:
    """Put an archive's store and files into the empty `data_dir`, all of it or nothing.

    Returns:
        What was done, and what is still to do, one line each.

    Raises:
        BadArchive: the archive is damaged, or holds what a backup never holds.
        EquipoiseError: `data_dir` is not empty, or the archive does not fit `store_url`.
    """
    target = settings.data_dir
    _make_room(target)
    staging = target / STAGING
    staging.mkdir()
    try:
        count = _extract(path, staging)
        lines = [f"{count} files restored into {target}", *_check(settings, staging)]
        if settings.bucket:
            lines.append(_publish(Bucket(staging, settings.bucket)))
        # The database last: before it is there, this is no store.
        for name in ("projects", DATABASE):
            if (staging / name).exists():
                (staging / name).replace(target / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return lines


def _make_room(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    if (target / STAGING).exists() and not (target / DATABASE).exists():
        # A restore was killed here; it had found nothing before it began.
        shutil.rmtree(target / "projects", ignore_errors=True)
        shutil.rmtree(target / STAGING)
    found = sorted(entry.name for entry in target.iterdir() if entry.name not in _NOT_OURS)
    if found:
        raise EquipoiseError(
            f"{target} is not empty ({', '.join(found[:5])}): restore only into an empty folder. "
            "Name another one with EQUIPOISE_DATA_DIR, or move these away."
        )


def _extract(path: Path, staging: Path) -> int:
    try:
        with tarfile.open(path, mode="r:") as archive:
            members = archive.getmembers()
            _check_members(members)
            archive.extractall(staging, members, filter="data")
        manifest = json.loads((staging / MANIFEST).read_text())
        sums: dict[str, Any] = dict(manifest["sha256"])
    except FileNotFoundError as error:
        if not path.is_file():
            raise EquipoiseError(f"There is no archive {path}.") from error
        raise BadArchive(f"{path} has no manifest: it is cut off, or not a backup.") from error
    except (tarfile.TarError, EOFError, ValueError, TypeError, KeyError) as error:
        raise BadArchive(f"{path} is damaged, or not a backup: {error}") from error
    names = {member.name for member in members} - {MANIFEST}
    if names != set(sums):
        raise BadArchive(f"{path} does not hold the files that its manifest names.")
    for name, expected in sums.items():
        with (staging / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise BadArchive(f"{name} in {path} is damaged: its checksum is another one.")
    (staging / MANIFEST).unlink()
    return len(sums)


def _check_members(members: list[tarfile.TarInfo]) -> None:
    names = [member.name for member in members]
    if len(set(names)) != len(names):
        raise BadArchive("The archive holds a file twice: it was not made by a backup.")
    for member in members:
        plain = member.isreg() and not member.issparse()
        known = member.name in (DATABASE, MANIFEST) or _ROUND_FILE.fullmatch(member.name)
        if not plain or not known or {".", ".."} & set(member.name.split("/")):
            raise BadArchive(
                f"The archive holds {member.name[:80]!r}, which no backup holds; nothing of it "
                "was used."
            )


def _publish(bucket: Bucket) -> str:
    """Put the rounds of an archive into the bucket that servers share."""
    rounds = sorted(bucket.folder.glob("projects/*/*"))
    for found in rounds:
        bucket.publish(str(found.relative_to(bucket.folder)))
    return f"{len(rounds)} rounds published to artifacts_url"


def _check(settings: Settings, staging: Path) -> list[str]:
    held = (staging / DATABASE).is_file()
    if settings.store_url is not None:
        if held:
            raise EquipoiseError(
                "The archive holds a SQLite store, but store_url names another: unset store_url."
            )
        return ["files only: restore the database that store_url names with pg_restore or psql"]
    if not held:
        raise EquipoiseError(
            "The archive holds no database: it is of a store elsewhere. Restore that one with its "
            "own tools, and set store_url."
        )
    try:
        with sqlite3.connect(staging / DATABASE) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        connection.close()
    except sqlite3.DatabaseError as error:
        raise BadArchive(f"The archive's store cannot be read: {error}") from error
    if verdict != "ok":
        raise BadArchive(f"The archive's store is damaged: {verdict}")
    store = Store(f"sqlite:///{staging / DATABASE}", staging)  # migrates it, or refuses it
    try:
        for owner in store.projects():
            current = store.current(owner.id)
            if current is not None and not store.ranking(current).is_file():
                raise BadArchive(f"The archive lacks the files of {current.version}.")
    finally:
        store.close()
    return []
