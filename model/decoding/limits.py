"""Bounds on what is decoded, so that one hostile or huge file cannot stop a round."""

from __future__ import annotations

from dataclasses import dataclass

from model.sample import MediaError


@dataclass(frozen=True)
class Limits:
    """Upper bounds per raw value.

    Attributes:
        bytes: size of a file as loaded.
        pixels: width x height of an image or of a video frame.
        seconds: audio and video beyond this length is refused.
        characters: text is cut after this many characters.
        values: number of values in a feature sequence.
    """

    bytes: int = 512 * 2**20
    pixels: int = 100_000_000
    seconds: float = 3600.0
    characters: int = 20_000
    values: int = 20_000_000


LIMITS = Limits()


def check_bytes(data: bytes, limits: Limits = LIMITS) -> bytes:
    """Return the data unless it is empty or larger than the limit."""
    if not data:
        raise MediaError("the file is empty")
    if len(data) > limits.bytes:
        raise MediaError(
            f"the file has {len(data) / 2**20:.0f} MiB; at most {limits.bytes / 2**20:.0f} are read"
        )
    return data
