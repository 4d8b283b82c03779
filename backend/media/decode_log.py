"""What is being decoded, in a small file per process that outlives the process's crash.

A file that crashes its decoder takes the process with it, and a hanging one cannot be stopped from
inside. So each process notes what it decodes; what a dead one left behind is suspect, and the next
round of the same project decodes carefully (backend/media/quarantine.py) and finds out which file
it is. Each suspect, and each file that is refused, is a file of its own, so that the processes of
several projects never overwrite what another one found.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from model.sample import MediaError

_SLOT = 112
_STUCK = 5.0
_SUSPECT, _REFUSED, _SUFFIX = ".suspect", ".refused", ".journal"


class _Noted(NamedTuple):
    """A line of a journal: a content key, whose file it is, since when (monotonic seconds)."""

    key: str
    project: int
    since: float


class DecodeLog:
    """The files under decoding of this process, and what became of those of dead ones."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder that all processes on the store share.

        Args:
            folder: made when something is written to it.
        """
        self.folder = folder
        self._file: int | None = None
        self._lock = threading.Lock()
        self._slots: dict[str, tuple[int, float]] = {}

    # This process

    @contextmanager
    def open(self) -> Iterator[DecodeLog]:
        """Note what is decoded from here on; at a regular end nothing is left."""
        path = self.folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        with suppress(OSError):  # on a full disk decoding goes on without a decode_log
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            # The lock ends with the process, whatever ends it: that tells the others it is dead.
            fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield self
        finally:
            if self._file is not None:
                path.unlink(missing_ok=True)
                os.close(self._file)
                self._file = None

    def load(self, key: str, project: int, fetch: Callable[[], bytes]) -> bytes:
        """Fetch a project's file that is decoded next, and note that it is.

        Raises:
            MediaError: the same file is being decoded already, for long.
        """
        with self._lock:
            stuck = key in self._slots and time.monotonic() - self._slots[key][1] > _STUCK
        if stuck:
            raise MediaError("still being decoded since an earlier request", passing=True)
        content = fetch()
        with self._lock:
            used = {slot for slot, _ in self._slots.values()}
            slot = next(i for i in range(len(used) + 1) if i not in used)
            self._slots[key] = (slot, time.monotonic())
            self._write(slot, f"{key} {project} {time.monotonic():.3f}")
        return content

    def end(self, key: str) -> None:
        """Note that a file is decoded."""
        with self._lock:
            if key in self._slots:
                self._write(self._slots.pop(key)[0], "")

    def oldest(self) -> float:
        """Return for how many seconds the slowest file is being decoded now."""
        with self._lock:
            started = [since for _, since in self._slots.values()]
        return time.monotonic() - min(started) if started else 0.0

    def _write(self, slot: int, text: str) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, text.ljust(_SLOT - 1).encode() + b"\n", slot * _SLOT)

    # Other processes

    def of(self, process: int) -> dict[str, float]:
        """Return what a process decodes: content key -> since when (monotonic seconds)."""
        found = self.folder.glob(f"{process}-*{_SUFFIX}")
        return {noted.key: noted.since for path in found for noted in _read(path)}

    def forget(self, process: int) -> None:
        """Delete what a process left."""
        for path in self.folder.glob(f"{process}-*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    def suspects(self, project: int) -> set[str]:
        """Return which of a project's files were being decoded when a process died.

        They are suspect until a careful round of the project has looked at them (`clear`).
        """
        for path in self.folder.glob(f"*{_SUFFIX}"):
            left = _of_the_dead(path)
            if left is not None:
                for noted in left:
                    (self.folder / f"{noted.project}-{noted.key}{_SUSPECT}").touch()
                path.unlink(missing_ok=True)
        found = self.folder.glob(f"{project}-*{_SUSPECT}")
        return {path.name.removesuffix(_SUSPECT).partition("-")[2] for path in found}

    def clear(self, project: int, suspects: Iterable[str]) -> None:
        """Note that a careful round of a project has looked at these suspects."""
        for key in suspects:
            with suppress(OSError):
                (self.folder / f"{project}-{key}{_SUSPECT}").unlink(missing_ok=True)

    def refused(self) -> dict[str, str]:
        """Return content key -> why it is not decoded any more."""
        found = {}
        for path in self.folder.glob(f"*{_REFUSED}"):
            with suppress(OSError):
                found[path.name.removesuffix(_REFUSED)] = path.read_text()
        return found

    def refuse(self, key: str, reason: str) -> None:
        """Never decode a file again: it crashed its decoder, or held it up."""
        beside = self.folder / f".{key}.{uuid.uuid4().hex[:8]}"
        try:
            beside.write_text(reason)
            beside.replace(self.folder / f"{key}{_REFUSED}")
        finally:
            beside.unlink(missing_ok=True)


def _of_the_dead(path: Path) -> list[_Noted] | None:
    """Return what is in the decode_log of a dead process; None if it lives."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _read(path)
    except OSError:
        return None
    finally:
        os.close(file)


def _read(path: Path) -> list[_Noted]:
    found = []
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            match line.split():
                case [key, project, since]:
                    found.append(_Noted(key, int(project), float(since)))
    return found
