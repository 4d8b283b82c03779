"""Samples to prepared inputs: load, decode in worker threads, embed in batches, cache."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from model import device as devices
from model.arrays import Array
from model.cache import FeatureCache, Store
from model.encoders import Encoder, encoder_for
from model.inputs import Column, Failure, Inputs
from model.presets import Preset
from model.sample import MediaError, RawValue, Reference, Sample, content_key
from model.schema import Modality, Schema

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]

_FLUSH_BYTES = 32 * 2**20
_FLUSH_SECONDS = 20.0
_IN_FLIGHT = 2
_TOGETHER = 4  # a sample alone is too little work to be handed to a thread

__all__ = ["Failure", "Inputs", "prepare"]


class Lasts(Enum):
    """How long the reason holds for which a value is absent."""

    ALWAYS = "found in the content: may be cached"
    UNTIL_MENDED = "tried again next time"
    PASSING = "tried again next time, and may then be gone although nobody mends anything"


@dataclass
class _Modality:
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


def prepare(
    samples: Sequence[Sample],
    schema: Schema,
    preset: Preset,
    cache: FeatureCache,
    *,
    workers: int = 2,
    progress: Progress | None = None,
) -> Inputs:
    """Decode and embed what the cache does not hold yet, and locate everything in it.

    A value that cannot be loaded or decoded counts as absent and is listed in `failures`; reasons
    found in the content are cached, failures to load are tried again next time.

    Args:
        samples: N tasks; media are loaded one at a time per worker and never held together.
        schema: the project's modalities.
        preset: names the encoder of each modality.
        cache: where prepared arrays live.
        workers: decoding threads.
        progress: called with ("prepare", done, total) counting samples that needed work.
    """
    parts = [_open(modality, samples, preset, cache) for modality in schema.modalities]
    jobs = _jobs(parts, len(samples))
    if jobs:
        _fill(parts, samples, jobs, workers, progress)
    columns, present, failures = [], [], []
    for part in parts:
        column, reasons = _column(part)
        columns.append(column)
        present.append(column.row >= 0)
        failures += [
            Failure(index, part.name, reason, part.keys[index] in part.passing)
            for index, reason in reasons
        ]
    failures.sort(key=lambda failure: failure.index)
    return Inputs(len(samples), np.stack(present, axis=1), tuple(failures), tuple(columns))


def _open(
    modality: Modality, samples: Sequence[Sample], preset: Preset, cache: FeatureCache
) -> _Modality:
    encoder = encoder_for(modality, preset)
    store = cache.store(encoder.fingerprint)
    keys = [content_key(sample.get(modality.key)) for sample in samples]
    part = _Modality(modality.name, modality.key, encoder, store, keys)
    shard, _ = store.lookup(keys)
    part.missing = {
        key
        for key, place in zip(keys, shard, strict=True)
        if key is not None and place < 0 and key not in store.failed
    }
    return part


def _jobs(parts: list[_Modality], size: int) -> list[tuple[int, list[int]]]:
    """List (sample, modality columns to decode), each content once."""
    waiting = [set(part.missing) for part in parts]
    jobs = []
    for index in range(size):
        columns = [c for c, part in enumerate(parts) if part.keys[index] in waiting[c]]
        for column in columns:
            waiting[column].discard(parts[column].keys[index])
        if columns:
            jobs.append((index, columns))
    return jobs


def _fill(
    parts: list[_Modality],
    samples: Sequence[Sample],
    jobs: list[tuple[int, list[int]]],
    workers: int,
    progress: Progress | None,
) -> None:
    writers = [_Writer(part) for part in parts]
    for done, decoded in enumerate(_decode_all(parts, samples, jobs, workers), start=1):
        for column, key, value, lasts in decoded:
            if isinstance(value, str):
                writers[column].fail(key, value, lasts)
            else:
                writers[column].add(key, value)
        if progress is not None and (done % 20 == 0 or done == len(jobs)):
            progress("prepare", done, len(jobs))
    for writer in writers:
        writer.close()


def _decode_all(
    parts: list[_Modality], samples: Sequence[Sample], jobs: list, workers: int
) -> Iterator[list[Decoded]]:
    """Decode jobs in order with a bounded number of samples in flight."""
    pending: deque[Future[list[list[Decoded]]]] = deque()
    with devices.decoders(max(1, workers)) as pool:
        for start in range(0, len(jobs), _TOGETHER):
            if len(pending) >= _IN_FLIGHT * max(1, workers):
                yield from pending.popleft().result()
            some = [(samples[i], i, columns) for i, columns in jobs[start : start + _TOGETHER]]
            pending.append(pool.submit(_decode_some, parts, some))
        while pending:
            yield from pending.popleft().result()


def _decode_some(
    parts: list[_Modality], some: list[tuple[Sample, int, list[int]]]
) -> list[list[Decoded]]:
    return [_decode_sample(parts, *one) for one in some]


def _decode_sample(
    parts: list[_Modality], sample: Sample, index: int, columns: list[int]
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
    parts: list[_Modality],
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
            results.append((column, key, "not enough memory to decode it", Lasts.PASSING))
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


class _Writer:
    """Collects decoded arrays of one modality, embeds them in batches and appends shards."""

    def __init__(self, part: _Modality) -> None:
        self.part = part
        self.decoded: list[tuple[bytes, Array]] = []
        self.ready: dict[tuple, list[tuple[bytes, Array]]] = {}
        self.lasting: dict[bytes, str] = {}
        self.bytes = 0
        self.flushed = time.monotonic()

    def fail(self, key: bytes, reason: str, lasts: Lasts) -> None:
        self.part.reasons[key] = reason
        if lasts is Lasts.ALWAYS:
            self.lasting[key] = reason
        elif lasts is Lasts.PASSING:
            self.part.passing.add(key)

    def add(self, key: bytes, value: Array) -> None:
        self.decoded.append((key, value))
        if len(self.decoded) >= self.part.encoder.batch_size:
            self._embed()
        if self.bytes > _FLUSH_BYTES or time.monotonic() - self.flushed > _FLUSH_SECONDS:
            self._flush()

    def close(self) -> None:
        self._embed()
        self._flush()

    def _embed(self) -> None:
        groups: dict[tuple, list[tuple[bytes, Array]]] = {}
        for key, value in self.decoded:
            groups.setdefault(value.shape, []).append((key, value))
        self.decoded = []
        for group in groups.values():
            keys = [key for key, _ in group]
            values = np.stack([value for _, value in group])
            if self.part.encoder.embed is not None:
                values = self.part.encoder.embed(values)
            self.bytes += values.nbytes
            self.ready.setdefault(values.shape[1:], []).extend(zip(keys, values, strict=True))

    def _flush(self) -> None:
        for group in self.ready.values():
            self.part.store.append([k for k, _ in group], np.stack([v for _, v in group]))
        self.part.store.append_failures(self.lasting)
        self.ready, self.lasting, self.bytes = {}, {}, 0
        self.flushed = time.monotonic()


def _column(part: _Modality) -> tuple[Column, list[tuple[int, str]]]:
    """Locate a modality's arrays; the commonest shape is the modality's shape."""
    store = part.store
    shard, row = store.lookup(part.keys)
    reasons = [
        (index, part.reasons.get(key) or store.failed.get(key) or "could not be prepared")
        for index, key in enumerate(part.keys)
        if key is not None and shard[index] < 0
    ]
    counts: Counter[tuple[int, ...]] = Counter()
    for owner, count in zip(*np.unique(shard[shard >= 0], return_counts=True), strict=True):
        counts[store.shards[owner].values.shape[1:]] += int(count)
    shape = counts.most_common(1)[0][0] if counts else ()
    for owner in np.unique(shard[shard >= 0]):
        other = store.shards[owner].values.shape[1:]
        if other != shape:
            odd = np.flatnonzero(shard == owner)
            reasons += [(int(i), f"has shape {other}; most have {shape}") for i in odd]
            shard[odd], row[odd] = -1, -1
    used = {int(owner): place for place, owner in enumerate(np.unique(shard[shard >= 0]))}
    renumbered = np.array([used.get(int(s), -1) for s in np.unique(shard)], np.int32)
    if len(shard):
        shard = renumbered[np.searchsorted(np.unique(shard), shard)]
    values = tuple(store.shards[owner].values for owner in used)
    return Column(part.encoder.fingerprint, shape, values, shard, row), reasons
