"""Reading what people put into a task: whatever it is, it costs that task one value, no more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from model.sample import MediaError, RawValue, Reference

Read = TypeVar("Read")


def understood(read: Callable[[], Read]) -> Read:
    """Read something.

    Raises:
        MediaError: it cannot be read; the message is the reason.
        MemoryError: there was no room for it.
    """
    try:
        return read()
    except (MediaError, MemoryError):
        raise
    except Exception as error:
        raise MediaError(f"cannot be read: {type(error).__name__}: {error}"[:250]) from error


def or_why(read: Callable[[], RawValue]) -> RawValue:
    """Read a raw value; one that cannot be read says why when it is loaded, as a file does."""
    try:
        return understood(read)
    except MediaError as error:
        reason = str(error)

    def load() -> bytes:
        raise MediaError(reason)

    key = hashlib.sha256(f"unreadable|{reason}".encode(errors="backslashreplace")).hexdigest()
    return Reference(key, load)
