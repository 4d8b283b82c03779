"""Files of rounds in a bucket that several servers share, with a folder of each as its cache.

A round is published as its files and then, last, a manifest with the checksum of each. Readers see
only what a manifest names, so that half a round is never seen, whenever its writer died. As a name
is never used again for something else, what a cache has cannot be stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import structlog

from backend.errors import EquipoiseError
from backend.store.artifacts import Artifacts

log = structlog.get_logger(__name__)
Sums = dict[str, str]

MANIFEST = "manifest.json"
_INSIDE = re.compile(r"[\w@-][\w.@-]*(/[\w@-][\w.@-]*)*")
"""What a manifest may name: no file outside its round."""
_FLAT = ("s3", "gcs", "abfs")
"""Filesystems of pyarrow that have no folders."""
_CHUNK = 1 << 22
_PAUSE = 5.0
"""Seconds for which a bucket that did not answer is not asked again: annotators wait for it."""


class Unreachable(EquipoiseError, OSError):
    """The bucket does not answer, or refuses us; what is here already goes on serving."""

    passing = True


class Bucket(Artifacts):
    """A folder of this machine before a bucket. Thread-safe; processes may share the folder."""

    def __init__(self, folder: Path, url: str) -> None:
        """Take a folder and the URL of the bucket; it is asked nothing yet."""
        super().__init__(folder)
        self._url = url
        self._bringing = threading.Lock()
        self._damaged: set[str] = set()
        self._silent_until = 0.0

    @property
    def shared(self) -> bool:
        """Whether other machines see what is put here."""
        return True

    def put(self, name: str, content: bytes) -> None:
        """Write an object; nobody sees half of it, but in a folder, whose readers compare sums.

        Raises:
            Unreachable: it may not be there.
        """
        folder, _, last = name.rpartition("/")
        with self._reached():
            self._make_folders(folder, {last: ""})
            with self._files.open_output_stream(self._at(name)) as target:
                target.write(content)

    def get(self, name: str) -> bytes | None:
        """Return what an object holds; None: there is none.

        Raises:
            Unreachable: the bucket cannot be asked.
        """
        try:
            return b"".join(self._chunks(self._at(name)))
        except FileNotFoundError:
            return None

    def publish(self, name: str) -> None:
        """Copy a round's files into the bucket, then the manifest that names them.

        Raises:
            Unreachable: nobody sees anything of the round; it may be published again.
        """
        sums = _sums(self.folder / name)
        with self._reached():
            known = self._manifest(name)
            if known == sums:
                return
            if known is not None:  # never a manifest over files that change
                self._files.delete_file(self._at(name, MANIFEST))
            self._make_folders(name, sums)
            for inside in sums:
                with (
                    (self.folder / name / inside).open("rb") as source,
                    self._files.open_output_stream(self._at(name, inside)) as target,
                ):
                    shutil.copyfileobj(source, target, _CHUNK)
            with self._files.open_output_stream(self._at(name, MANIFEST)) as target:
                target.write(json.dumps({"sha256": sums}, indent=1).encode())
        log.info("published", name=name, files=len(sums))

    def bring(self, name: str) -> Path:
        """Return where something of a round lies here, copied from the bucket the first time.

        Raises:
            Unreachable: it is not here, and the bucket cannot be asked.
        """
        here = self.folder / name
        if here.exists():
            return here
        with self._bringing:
            round_ = _round(name)
            if not here.exists() and round_ not in self._damaged:
                with self._reached():
                    sums = self._manifest(round_)
                if sums is not None:
                    self._fetch(round_, sums)
        return here

    def has(self, name: str) -> bool:
        """Tell whether something of a round is here, or whole in the bucket.

        Raises:
            Unreachable: it is not here, and the bucket cannot be asked.
        """
        if (self.folder / name).exists():
            return True
        round_ = _round(name)
        if round_ in self._damaged:
            return False
        with self._reached():
            sums = self._manifest(round_) or {}
        return any(f"{round_}/{inside}/".startswith(f"{name}/") for inside in sums)

    def names(self, parent: str) -> set[str]:
        """Return the names of what lies directly in a folder, here or in the bucket."""
        from pyarrow.fs import FileSelector

        with self._reached():
            found = self._files.get_file_info(FileSelector(self._at(parent), allow_not_found=True))
        return super().names(parent) | {f"{parent}/{entry.base_name}" for entry in found}

    def remove(self, name: str) -> None:
        """Delete a folder here and in the bucket: its manifest first, so that nobody sees a part.

        Raises:
            Unreachable: some of it may still be there.
        """
        with self._reached():
            for act, path in (
                (self._files.delete_file, self._at(name, MANIFEST)),
                (self._files.delete_dir, self._at(name)),
            ):
                try:
                    act(path)
                except FileNotFoundError:
                    continue
        super().remove(name)

    # The bucket

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from pyarrow.fs import FileSystem

        try:
            files, root = FileSystem.from_uri(self._url)
        except (ValueError, ImportError) as error:  # pyarrow's message names what is wrong
            raise EquipoiseError(f"artifacts_url cannot be used: {error}") from None
        return files, str(root).rstrip("/")

    @property
    def _files(self) -> Any:
        return self._opened[0]

    def _at(self, *names: str) -> str:
        return "/".join((self._opened[1], *names))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Say in our words that a bucket cannot be had, and do not ask it again at once."""
        if time.monotonic() < self._silent_until:
            raise Unreachable("The bucket of artifacts_url does not answer now.")
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            self._silent_until = time.monotonic() + _PAUSE
            raise Unreachable(
                f"The bucket of artifacts_url does not answer, or refuses us: {error}"[:400]
            ) from error

    def _make_folders(self, name: str, sums: Sums) -> None:
        if self._files.type_name not in _FLAT:
            for folder in {Path(inside).parent for inside in sums}:
                self._files.create_dir(self._at(name, str(folder)), recursive=True)

    def _manifest(self, name: str) -> Sums | None:
        """Return the files of a round, None where it is not published."""
        try:
            with self._files.open_input_stream(self._at(name, MANIFEST)) as source:
                sums = dict(json.loads(source.read())["sha256"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # not there, or not whole yet
            return None
        return sums if all(_INSIDE.fullmatch(inside) for inside in sums) else None

    def _fetch(self, name: str, sums: Sums) -> None:
        """Copy a round beside its place, compare it with its manifest, then show it."""
        target = self.folder / name
        beside = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name}")
        try:
            for inside, expected in sums.items():
                if self._copy(name, inside, beside / inside) != expected:
                    log.error("not what its manifest says", name=name, file=inside)
                    self._damaged.add(name)  # as if it were not there: a round makes it again
                    return
            _show(beside, target)
        except FileNotFoundError:  # deleted meanwhile, as old rounds are
            log.warning("gone from the bucket", name=name)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _copy(self, name: str, inside: str, to: Path) -> str:
        """Copy a file from the bucket; returns its checksum."""
        to.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with to.open("wb") as target:
            for chunk in self._chunks(self._at(name, inside)):
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        return digest.hexdigest()

    def _chunks(self, path: str) -> Iterator[bytes]:
        with self._reached(), self._files.open_input_stream(path) as source:
            while chunk := source.read(_CHUNK):
                yield chunk


def _round(name: str) -> str:
    """Return the round's folder, projects/ID/ROUND, that a name lies in."""
    return "/".join(name.split("/")[:3])


def _sums(folder: Path) -> Sums:
    """Return the checksum of every file of a folder; what is still being written is left out."""
    sums = {}
    for path in sorted(folder.rglob("*")):
        inside = str(path.relative_to(folder))
        if path.is_file() and _INSIDE.fullmatch(inside) and path.suffix != ".writing":
            with path.open("rb") as file:
                sums[inside] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def _show(beside: Path, target: Path) -> None:
    """Move a whole round into place, or into an older copy what that has lost."""
    try:
        beside.rename(target)
    except OSError:  # it is there: another process was faster, or somebody deleted a part of it
        for entry in beside.iterdir():
            if not (target / entry.name).exists():
                entry.rename(target / entry.name)
