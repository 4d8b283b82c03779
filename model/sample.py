"""What a task gives to the model: raw values that are loaded only when they are needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class MediaError(Exception):
    """A raw value cannot be used; `str(error)` is the reason in plain words.

    Attributes:
        passing: whether it may be had later although nobody mends anything.
    """

    def __init__(self, reason: str = "", *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True)
class Reference:
    """One raw value that is not loaded yet.

    Attributes:
        key: content key: the same key means the same content (the feature cache relies on it).
        load: returns the content: bytes, or what was read from them already; may raise
            MediaError(reason) or OSError; called in worker threads.
        done: called after what `load` returned is decoded, or could not be.
    """

    key: str
    load: Callable[[], bytes | str | list]
    done: Callable[[], None] | None = None


RawValue = Reference | str | list | None
"""str for text, Reference for media and feature files, list for inline sequences, None = absent."""

Sample = Mapping[str, RawValue]
"""Data key (`Modality.key`) -> raw value; a video's frames and sound track share one key."""


def content_key(value: RawValue) -> bytes | None:
    """Return 16 bytes that identify the value's content; None for an absent value."""
    if value is None:
        return None
    if isinstance(value, Reference):
        text = f"reference:{value.key}"
    elif isinstance(value, str):
        text = f"text:{value}"
    else:
        text = "list:" + json.dumps(value, default=repr)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
