"""A replay's data on disk: prepared once, then memory-mapped by every worker."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.dataset import DataError, Dataset
from model.cache import FeatureCache
from model.inputs import Column, Failure, Inputs
from model.labels import Labels
from model.options import Preparation
from model.preparation import Progress, prepare
from model.schema import Schema
from strategies.pool import IntArray

PART = 8192
"""Samples prepared at once: what they need on disk is there twice for a moment, and no more."""
_ROWS = 1024


@dataclass(frozen=True)
class Prepared:
    """What a worker needs of the data.

    Attributes:
        folder: where they lie.
        present: (N, M) which modalities a sample has.
        labels: target name -> labels.
        schema: modalities and targets.
        train: rows that may be labelled.
        test: rows that only measure.
        fingerprint: changes with anything in the data or their preparation.
        columns: fingerprint of each modality's preparation.
    """

    folder: Path
    present: npt.NDArray[np.bool_]
    labels: Labels
    schema: Schema
    train: IntArray
    test: IntArray
    fingerprint: str
    columns: tuple[str, ...]

    @cached_property
    def inputs(self) -> Inputs:
        """N prepared samples; read when asked for, as a page is written without them."""
        found = tuple(
            _read_column(self.folder / f"column-{number}.npy", print_, self.present[:, number])
            for number, print_ in enumerate(self.columns)
        )
        return Inputs(len(self.present), self.present, (), found)


def write(
    dataset: Dataset,
    preparation: Preparation,
    folder: Path,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Prepare a data set and write it, whole or not at all.

    Args:
        dataset: what to prepare.
        preparation: names the encoders.
        folder: where it goes.
        cache: folder of prepared values that several data sets share; None keeps none.
        progress: told how far it is.

    Returns:
        One line for each kind of failure: what is treated as absent, and why.
    """
    beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    beside.mkdir(parents=True)
    try:
        columns, failures = _written(dataset, preparation, beside, cache, progress)
        _check_present(dataset, columns, failures)
        _write_facts(dataset, columns, beside)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    reasons = [f"{failure.modality}: {failure.reason}" for failure in failures]
    return [f"{reasons.count(reason)} x {reason}" for reason in sorted(set(reasons))]


def _written(
    dataset: Dataset,
    preparation: Preparation,
    beside: Path,
    cache: Path | None,
    progress: Progress | None,
) -> tuple[list[_ColumnFile], list[Failure]]:
    """Prepare and write a part of the samples after the other, so that nothing is there twice."""
    size = len(dataset.samples)
    columns = [
        _ColumnFile(beside / f"column-{number}.npy", size, name)
        for number, name in enumerate(dataset.schema.names)
    ]
    failures: list[Failure] = []
    workers = max(1, len(os.sched_getaffinity(0)))
    for start in range(0, size, PART):
        inputs = prepare(
            dataset.samples[start : start + PART],
            dataset.schema,
            preparation,
            FeatureCache(cache or beside / "cache"),
            workers=workers,
            progress=progress and _shifted(progress, start, size),
        )
        failures += [replace(one, index=one.index + start) for one in inputs.failures]
        for number, column in enumerate(columns):
            failures += column.put(start, inputs.columns[number], inputs.present[:, number])
        if cache is None:
            del inputs
            shutil.rmtree(beside / "cache", ignore_errors=True)
    for column in columns:
        column.close()
    return columns, failures


def _shifted(progress: Progress, start: int, size: int) -> Progress:
    return lambda what, done, total: progress(what, start + done, size)


def read(folder: Path) -> Prepared:
    """Read what `write` wrote; arrays stay memory-mapped."""
    facts = json.loads((folder / "facts.json").read_text())
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    labels = {k.removeprefix("label:"): v for k, v in arrays.items() if k.startswith("label:")}
    return Prepared(
        folder,
        arrays["present"],
        labels,
        Schema.from_json(facts["schema"]),
        arrays["train"],
        arrays["test"],
        facts["fingerprint"],
        tuple(facts["fingerprints"]),
    )


class _ColumnFile:
    """One modality of all samples on disk, written from the first to the last.

    The first samples that have the modality say what shape its arrays have.
    """

    def __init__(self, path: Path, size: int, name: str) -> None:
        self.name, self.present = name, np.zeros(size, np.bool_)
        self.fingerprint, self.digest = "", hashlib.blake2b(digest_size=16)
        self._path = path
        self._array: npt.NDArray = np.empty(0)

    def put(self, start: int, column: Column, present: npt.NDArray[np.bool_]) -> list[Failure]:
        """Write some samples; those of another shape than the first are absent, and returned."""
        self.fingerprint = column.fingerprint
        if not present.any():
            return []
        if not self._array.size:
            self._array = _created(self._path, len(self.present), column)
        if column.shape != self._array.shape[1:]:
            reason = f"has shape {column.shape}; the first have {self._array.shape[1:]}"
            return [Failure(start + int(i), self.name, reason) for i in np.flatnonzero(present)]
        self.present[start : start + len(present)] = present
        for place in range(0, len(present), _ROWS):
            rows = np.arange(place, min(place + _ROWS, len(present)))
            values = column.gather(rows)
            self._array[start + place : start + place + len(rows)] = values
            self.digest.update(np.ascontiguousarray(values).tobytes())
        return []

    def close(self) -> None:
        """Finish the file; without any sample it holds arrays of no shape."""
        if not self._array.size:
            np.save(self._path, np.zeros(len(self.present), np.float32))
        elif isinstance(self._array, np.memmap):
            self._array.flush()


def _created(path: Path, size: int, column: Column) -> npt.NDArray:
    kind = column.gather(np.arange(1)).dtype
    return np.lib.format.open_memmap(path, "w+", dtype=kind, shape=(size, *column.shape))


def _check_present(
    dataset: Dataset, columns: Sequence[_ColumnFile], failures: Sequence[Failure]
) -> None:
    empty = [column.name for column in columns if not column.present[dataset.train].any()]
    if empty:
        why = next((f.reason for f in failures if f.modality == empty[0]), "absent")
        raise DataError(f"{dataset.name}: no sample has {empty[0]!r} ({why})")


def _read_column(path: Path, fingerprint: str, present: npt.NDArray[np.bool_]) -> Column:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    row = np.where(present, np.arange(len(present)), -1)
    shard = np.where(present, 0, -1).astype(np.int32)
    return Column(fingerprint, array.shape[1:], (np.asarray(array),), shard, row)


def _write_facts(dataset: Dataset, columns: Sequence[_ColumnFile], folder: Path) -> None:
    present = np.stack([column.present for column in columns], axis=1)
    labels = {f"label:{name}": np.asarray(values) for name, values in dataset.labels.items()}
    arrays: dict[str, Any] = {
        "present": present,
        "train": dataset.train,
        "test": dataset.test,
        **labels,
    }
    np.savez(folder / "arrays.npz", **arrays)
    schema = dataset.schema.to_json()
    digest = hashlib.blake2b(json.dumps(schema).encode(), digest_size=16)
    for array in (dataset.train, dataset.test, present, *labels.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    for column in columns:
        digest.update(column.digest.digest())
    facts = {
        "schema": schema,
        "fingerprints": [column.fingerprint for column in columns],
        "fingerprint": digest.hexdigest(),
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=2))
