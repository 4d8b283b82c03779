"""A replay's data on disk: prepared once, then memory-mapped by every worker."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.dataset import DataError, Dataset
from model.cache import FeatureCache
from model.inputs import Column, Inputs
from model.labels import Labels
from model.options import Preparation
from model.preparation import Progress, prepare
from model.schema import Schema
from strategies.pool import IntArray

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
        store = FeatureCache(cache or beside / "cache")
        workers = max(1, len(os.sched_getaffinity(0)))
        inputs = prepare(
            dataset.samples, dataset.schema, preparation, store, workers=workers, progress=progress
        )
        _check_present(dataset, inputs)
        for number, column in enumerate(inputs.columns):
            _write_column(column, beside / f"column-{number}.npy")
        _write_facts(dataset, inputs, beside)
        shutil.rmtree(beside / "cache", ignore_errors=True)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    reasons = [f"{failure.modality}: {failure.reason}" for failure in inputs.failures]
    return [f"{reasons.count(reason)} x {reason}" for reason in sorted(set(reasons))]


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


def _check_present(dataset: Dataset, inputs: Inputs) -> None:
    empty = [
        name
        for column, name in enumerate(dataset.schema.names)
        if not inputs.present[dataset.train, column].any()
    ]
    if empty:
        why = next((f.reason for f in inputs.failures if f.modality == empty[0]), "absent")
        raise DataError(f"{dataset.name}: no sample has {empty[0]!r} ({why})")


def _write_column(column: Column, path: Path) -> None:
    size = len(column.row)
    first = column.gather(np.arange(min(1, size)))
    array = np.lib.format.open_memmap(path, "w+", dtype=first.dtype, shape=(size, *column.shape))
    for start in range(0, size, _ROWS):
        rows = np.arange(start, min(start + _ROWS, size))
        array[start : start + len(rows)] = column.gather(rows)
    array.flush()


def _read_column(path: Path, fingerprint: str, present: npt.NDArray[np.bool_]) -> Column:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    row = np.where(present, np.arange(len(present)), -1)
    shard = np.where(present, 0, -1).astype(np.int32)
    return Column(fingerprint, array.shape[1:], (np.asarray(array),), shard, row)


def _write_facts(dataset: Dataset, inputs: Inputs, folder: Path) -> None:
    labels = {f"label:{name}": np.asarray(values) for name, values in dataset.labels.items()}
    arrays: dict[str, Any] = {
        "present": inputs.present,
        "train": dataset.train,
        "test": dataset.test,
        **labels,
    }
    np.savez(folder / "arrays.npz", **arrays)
    schema = dataset.schema.to_json()
    digest = hashlib.blake2b(json.dumps(schema).encode(), digest_size=16)
    for array in (dataset.train, dataset.test, inputs.present, *labels.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    for number in range(len(inputs.columns)):
        digest.update((folder / f"column-{number}.npy").read_bytes())
    facts = {
        "schema": schema,
        "fingerprints": [column.fingerprint for column in inputs.columns],
        "fingerprint": digest.hexdigest(),
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=2))
