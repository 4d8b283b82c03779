"""Raw values to arrays: each is loaded once and decoded in worker threads, a few in flight."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum

from model import device as devices
from model.arrays import Array
from model.encoders import Encoder
from model.sample import MediaError, RawValue, Reference, Sample
from model.shards import Store

logger = logging.getLogger(__name__)

NO_MEMORY = "not enough memory to decode it"
_IN_FLIGHT = 2
_TOGETHER = 4  # a sample alone is too little work to be handed to a thread


class Lasts(Enum):
    """How long the reason holds for which a value is absent."""

    ALWAYS = "found in the content: may be cached"
    UNTIL_MENDED = "tried again next time"
    PASSING = "tried again next time, and may then be gone although nobody mends anything"


@dataclass
class Part:
    """What is known and what is still missing for one modality while preparing."""

    name: str
    key: str
    encoder: Encoder
    store: Store
    keys: list[bytes | None]
    missing: set[bytes] = field(default_factory=set)
    reasons: dict[bytes, str] = field(default_factory=dict)
    passing: set[bytes] = field(default_factory=set)


Decoded = tuple[int, bytes, Array | str, Lasts]
"""Modality column, content key, array or reason, and how long the reason holds."""


def decode_all(
    parts: list[Part], samples: Sequence[Sample], jobs: list, workers: int
) -> Iterator[list[Decoded]]:
    """Decode jobs in order with a bounded number of samples in flight."""
    pending: deque[Future[list[list[Decoded]]]] = deque()
    with devices.team(max(1, workers)) as pool:
        for start in range(0, len(jobs), _TOGETHER):
            if len(pending) >= _IN_FLIGHT * max(1, workers):
                yield from pending.popleft().result()
            some = [(samples[i], i, columns) for i, columns in jobs[start : start + _TOGETHER]]
            pending.append(pool.submit(_decode_some, parts, some))
        while pending:
            yield from pending.popleft().result()


def _decode_some(
    parts: list[Part], some: list[tuple[Sample, int, list[int]]]
) -> list[list[Decoded]]:
    return [_decode_sample(parts, *one) for one in some]


def _decode_sample(
    parts: list[Part], sample: Sample, index: int, columns: list[int]
) -> list[Decoded]:
    """Load each raw value once and decode it for every modality that reads it."""
    loaded: dict[str, bytes | str | list | MediaError | OSError] = {}
    try:
        return _decode_loaded(parts, sample, index, columns, loaded)
    finally:
        for name in loaded:
            value = sample.get(name)
            if isinstance(value, Reference) and value.done is not None:
                value.done()


def _decode_loaded(
    parts: list[Part],
    sample: Sample,
    index: int,
    columns: list[int],
    loaded: dict[str, bytes | str | list | MediaError | OSError],
) -> list[Decoded]:
    results: list[Decoded] = []
    for column in columns:
        part = parts[column]
        key = part.keys[index] or b""
        if part.key not in loaded:
            loaded[part.key] = _load(sample.get(part.key))
        raw = loaded[part.key]
        if isinstance(raw, Exception):
            later = Lasts.PASSING if getattr(raw, "passing", False) else Lasts.UNTIL_MENDED
            results.append((column, key, str(raw) or type(raw).__name__, later))
            continue
        try:
            results.append((column, key, part.encoder.decode(raw), Lasts.ALWAYS))
        except MediaError as error:
            results.append((column, key, str(error), Lasts.ALWAYS))
        except MemoryError:
            results.append((column, key, NO_MEMORY, Lasts.PASSING))
        except Exception as error:  # a decoder's own fault must not end the round
            logger.warning("decoder failed", exc_info=error)
            reason = f"could not be decoded: {type(error).__name__}: {error}"[:250]
            results.append((column, key, reason, Lasts.UNTIL_MENDED))
    return results


def _load(value: RawValue) -> bytes | str | list | MediaError | OSError:
    if not isinstance(value, Reference):
        return value if value is not None else MediaError("absent")
    try:
        return value.load()
    except (MediaError, OSError) as error:
        return error
    except MemoryError:
        return MediaError(NO_MEMORY, passing=True)
