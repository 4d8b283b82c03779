"""Room on the disk: rounds stop with a clear state before it is full, and where it is."""

from __future__ import annotations

import errno
import os
import shutil
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from backend.errors import NoRoom
from backend.settings import Settings
from backend.store.store import Store
from model.cache import FeatureCache

_FULL = (errno.ENOSPC, errno.EDQUOT)


def free(folder: Path) -> int:
    """Return the bytes that are free where a folder is."""
    return shutil.disk_usage(folder).free


def check(folder: Path, least: int) -> None:
    """Raise NoRoom when less than `least` bytes are free, or nothing can be written at all."""
    if not os.access(folder, os.W_OK):
        raise NoRoom(
            f"Nothing can be written to {folder} any more: no round runs until its disk is "
            "writable. What serves goes on."
        )
    found = free(folder)
    if found < least:
        raise NoRoom(
            f"Only {found / 1e6:,.0f} MB are free on the disk of {folder}, and {least / 1e6:,.0f} "
            "MB are wanted (min_free_bytes): no round runs until there is room. What serves goes "
            "on. Free some space, or lower cache_bytes or keep_rounds."
        )


def problem(store: Store, settings: Settings) -> str:
    """Say what is wrong with the room on the disk, "" where nothing is.

    A full disk cannot be told of in the store, which is on it.
    """
    try:
        check(store.files, settings.min_free_bytes)
    except NoRoom as error:
        return str(error)
    return ""


def is_full(error: BaseException) -> bool:
    """Tell whether an error says that the disk is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    if isinstance(error, OperationalError):
        return "is full" in str(error.orig) or "No space left" in str(error.orig)
    text = str(error)
    return "No space left on device" in text or "os error 28" in text  # Arrow, safetensors


def usage(store: Store, settings: Settings) -> dict[str, Any]:
    """Return how many bytes there are: free, in the cache, and in rankings and checkpoints."""
    cached, rounds = _walked(settings.cache, store.files / "projects", int(time.monotonic() / 10))
    return {
        "free_bytes": free(store.files),
        "min_free_bytes": settings.min_free_bytes,
        "cache_bytes": cached,
        "rounds_bytes": rounds,
    }


@lru_cache(maxsize=4)
def _walked(cache: Path, rounds: Path, moment: int) -> tuple[int, int]:
    """Return the bytes of both; a page that shows all projects looks once, not once for each."""
    return FeatureCache(cache).size() if cache.is_dir() else 0, _size(rounds)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pruned meanwhile
            continue
    return total
