"""Samples to prepared inputs: load, decode in worker threads, embed in batches, cache."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from model.arrays import Array
from model.cache import FeatureCache
from model.encoders import encoder_for
from model.inputs import Column, Failure, Inputs
from model.loading import Lasts, Part, decode_all
from model.options import Preparation
from model.sample import Sample, content_key
from model.schema import Modality, Schema

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]

_FLUSH_BYTES = 32 * 2**20
_FLUSH_SECONDS = 20.0

__all__ = ["Failure", "Inputs", "prepare", "wanting"]


def prepare(
    samples: Sequence[Sample],
    schema: Schema,
    preparation: Preparation,
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
        preparation: names the encoder of each modality.
        cache: where prepared arrays live.
        workers: decoding threads.
        progress: called with ("prepare", done, total) counting samples that needed work.
    """
    parts = [_open(modality, samples, preparation, cache) for modality in schema.modalities]
    jobs = _jobs(parts, len(samples))
    if jobs:
        _fill(parts, samples, jobs, workers, progress)
        for part in parts:
            cache.share(part.store, {key for key in part.keys if key is not None})
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


def wanting(
    samples: Sequence[Sample], schema: Schema, preparation: Preparation, cache: FeatureCache
) -> list[int]:
    """Return which of N samples have a value that the cache lacks; each value counts once."""
    parts = [_open(modality, samples, preparation, cache) for modality in schema.modalities]
    return [index for index, _ in _jobs(parts, len(samples))]


def _open(
    modality: Modality, samples: Sequence[Sample], preparation: Preparation, cache: FeatureCache
) -> Part:
    encoder = encoder_for(modality, preparation)
    store = cache.store(encoder.fingerprint)
    keys = [content_key(sample.get(modality.key)) for sample in samples]
    part = Part(modality.name, modality.key, encoder, store, keys)
    part.missing = _missing(part)
    if part.missing:
        cache.bring(store, part.missing)
        part.missing = _missing(part)
    return part


def _missing(part: Part) -> set[bytes]:
    shard, _ = part.store.lookup(part.keys)
    return {
        key
        for key, place in zip(part.keys, shard, strict=True)
        if key is not None and place < 0 and key not in part.store.failed
    }


def _jobs(parts: list[Part], size: int) -> list[tuple[int, list[int]]]:
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
    parts: list[Part],
    samples: Sequence[Sample],
    jobs: list[tuple[int, list[int]]],
    workers: int,
    progress: Progress | None,
) -> None:
    writers = [_Writer(part) for part in parts]
    for done, decoded in enumerate(decode_all(parts, samples, jobs, workers), start=1):
        for column, key, value, lasts in decoded:
            if isinstance(value, str):
                writers[column].fail(key, value, lasts)
            else:
                writers[column].add(key, value)
        if progress is not None and (done % 20 == 0 or done == len(jobs)):
            progress("prepare", done, len(jobs))
    for writer in writers:
        writer.close()


class _Writer:
    """Collects decoded arrays of one modality, embeds them in batches and appends shards."""

    def __init__(self, part: Part) -> None:
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


def _column(part: Part) -> tuple[Column, list[tuple[int, str]]]:
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
