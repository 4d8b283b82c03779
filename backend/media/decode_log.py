"""What is being decoded, in a small file per process that outlives the process's crash.

A file that crashes its decoder takes the process with it, and a hanging one cannot be stopped from
inside. So each process notes what it decodes; what a dead one left behind is suspect, and the next
round decodes carefully (backend/media/quarantine.py) and finds out which file it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.sample import MediaError

_SLOT = 96
_STUCK = 5.0
_REFUSED, _SUSPECTS, _SUFFIX = "refused.json", "suspects.json", ".journal"


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

    def load(self, key: str, fetch: Callable[[], bytes]) -> bytes:
        """Fetch a file that is decoded next, and note that it is.

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
            self._write(slot, f"{key} {time.monotonic():.3f}")
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
        found: dict[str, float] = {}
        for path in self.folder.glob(f"{process}-*{_SUFFIX}"):
            found.update(_read(path))
        return found

    def forget(self, process: int) -> None:
        """Delete what a process left."""
        for path in self.folder.glob(f"{process}-*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    def suspects(self) -> set[str]:
        """Return what was being decoded when a process died, since the last careful round."""
        found = set(self._load(_SUSPECTS))
        for path in self.folder.glob(f"*{_SUFFIX}"):
            left = _of_the_dead(path)
            if left is not None:
                found |= left
                self._save(_SUSPECTS, dict.fromkeys(sorted(found), ""))
                path.unlink(missing_ok=True)
        return found

    def clear(self) -> None:
        """Note that a careful round has looked at every suspect."""
        with suppress(OSError):
            (self.folder / _SUSPECTS).unlink(missing_ok=True)

    def refused(self) -> dict[str, str]:
        """Return content key -> why it is not decoded any more."""
        return self._load(_REFUSED)

    def refuse(self, key: str, reason: str) -> None:
        """Never decode a file again: it crashed its decoder, or held it up."""
        self._save(_REFUSED, {**self.refused(), key: reason})

    def _load(self, name: str) -> dict[str, str]:
        try:
            found = json.loads((self.folder / name).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _save(self, name: str, content: dict[str, str]) -> None:
        beside = self.folder / f".{name}.{uuid.uuid4().hex[:8]}"
        try:
            beside.write_text(json.dumps(content))
            beside.replace(self.folder / name)
        finally:
            beside.unlink(missing_ok=True)


def _of_the_dead(path: Path) -> set[str] | None:
    """Return the keys in the decode_log of a dead process; None if it lives."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return set(_read(path))
    except OSError:
        return None
    finally:
        os.close(file)


def _read(path: Path) -> dict[str, float]:
    found = {}
    try:
        for line in path.read_text().splitlines():
            key, _, since = line.strip().partition(" ")
            if key and since:
                found[key] = float(since)
    except (OSError, ValueError):
        return found
    return found
