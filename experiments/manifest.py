"""A manifest: one task per row of a CSV, JSON Lines or Parquet file, with media and labels."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet

from experiments.cell_labels import target_of, values
from experiments.columns import Columns
from experiments.dataset import DataError, Dataset, usable, vector
from experiments.splitting import COLUMN, Split, at_random
from model.labels import Labels
from model.sample import MediaError, RawValue, Reference, Sample
from model.schema import Modality, ModalityKind, Schema

Row = Mapping[str, Any]
_MEDIA = {"bytes", "path"}
"""What a picture or a sound is in Parquet files of Hugging Face's data sets."""


@dataclass(frozen=True)
class Tasks:
    """What a manifest holds, labelled or not.

    Attributes:
        rows: as they were read.
        samples: N raw samples.
        schema: modalities and targets.
        labels: target name -> (N, ...) labels, unknown where a cell is empty.
    """

    rows: Sequence[Row]
    samples: tuple[Sample, ...]
    schema: Schema
    labels: Labels


def tasks(path: Path, columns: Columns, root: Path | None = None) -> Tasks:
    """Read a manifest as tasks.

    Args:
        path: a .csv file with a header, a .jsonl file, or a .parquet file whose columns of lists
            of numbers are vectors, and whose columns of bytes are media.
        columns: what its columns are.
        root: folder that media paths are relative to; by default the manifest's.

    Raises:
        DataError: a file, column or value is missing or unusable.
    """
    rows = _rows(path, columns.inputs)
    _check_columns(path, rows, columns)
    home = (root or path.parent).resolve()
    samples = tuple(
        {name: _raw(name, row.get(name), kind, home) for name, kind in columns.inputs.items()}
        for row in rows
    )
    schema = Schema(
        tuple(Modality(name, kind, name) for name, kind in columns.inputs.items()),
        tuple(
            target_of(name, kind, own, [row.get(name) for row in rows], columns.ranges.get(name))
            for name, (kind, own) in columns.labels.items()
        ),
    )
    labels = {t.name: values(t, [row.get(t.name) for row in rows]) for t in schema.targets}
    return Tasks(rows, samples, schema, labels)


def read(
    path: Path, columns: Columns, root: Path | None, share: float, split: Split | None = None
) -> Dataset:
    """Read a manifest as labelled data to replay.

    Args:
        path: as of `tasks`.
        columns: what its columns are.
        root: as of `tasks`.
        share: of the tasks that only measure, where no column says train or test.
        split: the column that does; by default `split`, where there is one.

    Raises:
        DataError: a file, column or value is missing or unusable.
    """
    whole = [name for name, (_, modality) in columns.labels.items() if modality is None]
    if len(whole) != 1:
        raise DataError(
            "--columns: a replay is of one question about the whole task, and "
            f"{', '.join(map(repr, whole)) or 'no column'} asks one"
        )
    found = tasks(path, columns, root)
    known, rows = usable(found.schema, found.labels), found.rows
    if split is None and any(COLUMN in row for row in rows):
        split = Split()
    if split is not None and not any(split.column in row for row in rows):
        raise DataError(f"--split: {path.name} has no column {split.column!r}")
    train, test = (
        at_random(known, share)
        if split is None
        else split.rows([row.get(split.column) for row in rows], known)
    )
    title = f"Tasks of {path.name}"
    return Dataset(path.stem, title, found.samples, found.labels, found.schema, train, test)


def _rows(path: Path, inputs: Container[str]) -> list[Row]:
    try:
        if path.suffix == ".parquet":
            return _arrow(path, inputs)
        with path.open(newline="", encoding="utf-8-sig") as file:
            if path.suffix == ".csv":
                return _table(path, csv.DictReader(file, strict=True))
            if path.suffix == ".jsonl":
                return [_object(path, n, line) for n, line in enumerate(file, 1) if line.strip()]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error, pyarrow.ArrowInvalid) as error:
        raise DataError(f"{path} is no {path.suffix} file (text is UTF-8): {error}") from error
    raise DataError(f"{path}: a manifest is a .csv, .jsonl or .parquet file")


def _arrow(path: Path, inputs: Container[str]) -> list[Row]:
    """Read inputs of lists of numbers as vectors: a million Python lists would fill the memory."""
    table = pyarrow.parquet.read_table(path)
    names = table.column_names
    columns = [_column(table.column(name), name in inputs) for name in names]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _column(column: pyarrow.ChunkedArray, vectors: bool) -> Sequence[Any]:
    kind = column.type
    if pyarrow.types.is_floating(kind):
        return [None if cell is None or math.isnan(cell) else cell for cell in column.to_pylist()]
    lists = pyarrow.types.is_list(kind) or pyarrow.types.is_fixed_size_list(kind)
    if not (vectors and lists and pyarrow.types.is_floating(kind.value_type)):
        return column.to_pylist()
    return [_numbers(cell) for cell in column]


def _numbers(cell: Any) -> npt.NDArray | None:
    """Return a list's numbers, NaN where one is missing; None without a list."""
    return cell.values.to_numpy(zero_copy_only=False) if cell.is_valid else None


def _table(path: Path, reader: csv.DictReader[str]) -> list[Row]:
    header = list(reader.fieldnames or ())
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: the column {twice!r} is there twice")
    rows: list[Row] = []
    for row in reader:
        if None in row or None in row.values():
            more = "more" if None in row else "fewer"
            raise DataError(f"{path}, line {reader.line_num}: {more} cells than the header names")
        rows.append(row)
    return rows


def _object(path: Path, number: int, line: str) -> Row:
    try:
        value = json.loads(line, parse_constant=_constant)
    except ValueError as error:
        raise DataError(f"{path}, line {number}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}, line {number}: not an object")
    return value


def _constant(name: str) -> float | None:
    """Return what JSON has no word for; Python and pandas write NaN where nothing is."""
    return None if name == "NaN" else float(name)


def _check_columns(path: Path, rows: Sequence[Row], columns: Columns) -> None:
    if not rows:
        raise DataError(f"{path} holds no task")
    there = {name for row in rows for name in row}
    missing = sorted((columns.inputs.keys() | columns.labels.keys()) - there)
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; it has: {', '.join(sorted(there))}")


def _raw(name: str, value: Any, kind: ModalityKind, home: Path) -> RawValue:
    if isinstance(value, np.ndarray):
        if kind is not ModalityKind.SEQUENCE:
            raise DataError(f"column {name!r} holds vectors: write {name}=sequence")
        return vector(value)
    if kind is not ModalityKind.TEXT and isinstance(value, dict) and value.keys() == _MEDIA:
        value = value["bytes"] or value["path"]
    if value is None or value in ("", b""):
        return None
    if isinstance(value, bytes):
        if kind is ModalityKind.TEXT:
            raise DataError(f"column {name!r} holds a file, which is no text")
        return Reference(hashlib.sha256(value).hexdigest(), partial(bytes, value))
    if kind is ModalityKind.TEXT:
        return str(value)
    if kind is ModalityKind.SEQUENCE and isinstance(value, list):
        return value
    return file_reference(str(value), home)


def file_reference(name: str, home: Path) -> Reference:
    """Return a file below a folder as a raw value; what is no file there counts as absent.

    Raises:
        DataError: the path leaves the folder, by `..` or by a link.
    """
    try:
        path = (home / name.lstrip("/")).resolve()
        inside = path.is_relative_to(home)
        found = path.stat() if inside and path.is_file() else None
    except (OSError, ValueError):  # too long, or with a character that no path has
        inside, found = True, None
    if not inside:
        raise DataError(f"{name!r} is outside of {home}; pass --root with the media's folder")
    if found is None:
        return Reference(f"missing {hashlib.sha256(name.encode()).hexdigest()}", _missing)
    stamp = f"{path}|{found.st_size}:{found.st_mtime_ns}"
    return Reference(hashlib.sha256(stamp.encode()).hexdigest(), path.read_bytes)


def _missing() -> bytes:
    raise MediaError("there is no such file below the media's folder")
