"""Feature sequences: .npy, .npz or JSON bytes, or inline JSON lists, to (T, D) float32."""

from __future__ import annotations

import csv
import io
import json
import math
import threading
import tokenize
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.arrays import Array, Float32Array
from model.decoding.limits import LIMITS, Limits, check_bytes
from model.sample import MediaError

# NumPy reads a header by `ast`, which two threads must not use at once before Python 3.12
# (SystemError: AST constructor recursion depth mismatch, CPython issue 106905).
_PARSING = threading.Lock()
_BROKEN = (
    *(ValueError, TypeError, OSError, EOFError, KeyError, RecursionError, MemoryError),
    *(SyntaxError, tokenize.TokenError, zlib.error, NotImplementedError),
    *(RuntimeError, OverflowError),
)
"""What NumPy, zipfile and json raise over broken bytes."""


def decode_sequence(value: bytes | str | list, limits: Limits = LIMITS) -> Float32Array:
    """Return a sequence as (T, D); a plain list of numbers is one step (1, D).

    Note: values that are not finite become 0, as in the GRACE task model's data loader.
    """
    try:
        array = _read(value, limits)
    except MediaError:
        raise
    except _BROKEN as error:
        raise MediaError(f"not a feature sequence: {error}") from error
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2:
        raise MediaError(f"a feature sequence has 1 or 2 dimensions, not {array.ndim}")
    if array.size == 0:
        raise MediaError("the feature sequence is empty")
    if array.size > limits.values:
        raise MediaError(f"the feature sequence has {array.size:,} values")
    return np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def columns_of(
    table: Mapping[str, Any] | list[Any], wanted: Sequence[str], time: str = ""
) -> list[list[float]]:
    """Return columns as steps: a list of T lists of D numbers.

    Args:
        table: column -> values, or rows as objects, or a plain list of numbers or of rows.
        wanted: names of the columns, in order; none: every one that holds numbers, but the time.
        time: name of the time's column.

    Raises:
        MediaError: there is no such column, or no number.
    """
    if isinstance(table, list):
        if not table or not isinstance(table[0], Mapping):
            return table
        rows = [row for row in table if isinstance(row, Mapping)]
        names = dict.fromkeys(name for row in rows for name in row)
        table = {name: [row.get(name) for row in rows] for name in names}
    missing = [name for name in wanted if name not in table]
    if missing:
        raise MediaError(f"the time series has no column {missing[0]!r}; it has {list(table)}")
    columns = [_numbers(table[name]) for name in wanted or [n for n in table if n != time]]
    if not wanted:
        columns = [column for column in columns if any(not math.isnan(v) for v in column)]
    if not columns or not columns[0]:
        raise MediaError("the time series holds no numbers")
    length = min(map(len, columns))
    return [list(step) for step in zip(*(column[:length] for column in columns), strict=True)]


def table_columns(text: str, separator: str, wanted: Sequence[str] = ()) -> dict[str, list[str]]:
    """Read a table with one row per step: column -> cells.

    Note: where channels are named by numbers alone the file has no header, as in the editor.
    """
    lines = [row for row in csv.reader(text.splitlines(), delimiter=separator[:1] or ",") if row]
    if not lines:
        raise MediaError("the time series is empty")
    if wanted and all(name.isdigit() for name in wanted):
        header = [str(number) for number in range(len(lines[0]))]
    else:
        header, lines = [name.strip() for name in lines[0]], lines[1:]
    return {
        name: [row[place] if place < len(row) else "" for row in lines]
        for place, name in enumerate(header)
    }


def _numbers(values: Any) -> list[float]:
    return [_number(value) for value in values] if isinstance(values, list) else []


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _read(value: bytes | str | list, limits: Limits) -> npt.NDArray[np.floating]:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, list):
        return np.asarray(value, dtype=np.float64)
    check_bytes(value, limits)
    if value[:6] == b"\x93NUMPY":
        return _numeric(_read_npy(value, limits))
    if value[:2] == b"PK":
        return _numeric(_read_npz(value, limits))
    return np.asarray(json.loads(value), dtype=np.float64)


def _read_npy(value: bytes, limits: Limits) -> Array:
    # A header of a few bytes can announce any shape: look at it before memory is taken.
    stream = io.BytesIO(value)
    version = np.lib.format.read_magic(stream)
    with _PARSING:
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise MediaError("the array holds Python objects, which are not read")
    if int(np.prod(shape, dtype=np.float64)) > limits.values:
        raise MediaError(f"the array announces shape {shape}, more than {limits.values:,} values")
    with _PARSING:
        return np.load(io.BytesIO(value), allow_pickle=False)


def _read_npz(value: bytes, limits: Limits) -> Array:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(value)) as archive:
            names = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if len(names) != 1:
                raise MediaError(f"an .npz needs exactly one array, this has {len(names)}")
            if names[0].file_size > 8 * limits.values:
                raise MediaError(f"the array has more than {limits.values:,} values")
            return _read_npy(archive.read(names[0]), limits)
    except zipfile.BadZipFile as error:
        raise MediaError("a broken .npz file") from error


def _numeric(array: Array) -> npt.NDArray[np.floating]:
    if array.dtype.kind not in "fiub":
        raise MediaError(f"the array holds {array.dtype}, not numbers")
    return array.astype(np.float64)
