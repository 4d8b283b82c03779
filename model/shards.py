"""One encoder's prepared arrays: append-only Arrow IPC shards, memory-mapped, safe at any byte.

A shard is written beside, synced and renamed, so a reader sees whole shards only; what a killed
writer leaves is a `.part` file that is ignored and later removed. Several processes may read and
append at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.arrays import Array

logger = logging.getLogger(__name__)

_STALE_SECONDS = 3600
_MERGE_ABOVE = 24
_SMALL_BYTES = 8 * 2**20
_PACKED_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Shard:
    """One immutable file: keys (n,) of 16 bytes and values (n, *shape), memory-mapped."""

    path: Path
    keys: npt.NDArray[np.bytes_]
    values: Array

    def whole_keys(self) -> list[bytes]:
        """Return the keys as 16 bytes each; numpy hides trailing zero bytes."""
        return [key.ljust(16, b"\0") for key in self.keys.tolist()]


class Store:
    """The prepared arrays of one encoder: content key -> array, or the reason why there is none."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.shards: list[Shard] = []
        self.failed: dict[bytes, str] = {}
        self._known: set[str] = set()
        self._keys: Array = np.empty(0, "S16")
        self._shard: Array = np.empty(0, np.int32)
        self._row: Array = np.empty(0, np.int64)

    @property
    def rows(self) -> int:
        """Number of arrays held."""
        return len(self._keys)

    def touch(self) -> None:
        """Create the folder where it is missing and note the time of use."""
        self.folder.mkdir(parents=True, exist_ok=True)
        label = self.folder / "encoder.json"
        if label.exists():
            os.utime(label)
        else:
            content = json.dumps({"fingerprint": self.fingerprint})
            _write_atomically(label, lambda path: path.write_text(content))

    def refresh(self) -> None:
        """Pick up shards that this or another process has added since the last call."""
        fresh = []
        for path in sorted(self.folder.glob("*.arrow"), key=lambda p: p.name):
            if path.name not in self._known:
                self._known.add(path.name)
                fresh += self._open(path)
        if fresh:
            self._add(fresh)

    def lookup(
        self, keys: Sequence[bytes | None]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Find arrays by content key.

        Returns:
            (N,) index into `shards` and (N,) row in that shard; -1 where there is no array.
        """
        wanted = np.array([key or b"" for key in keys], dtype="S16")
        if not len(self._keys) or not len(wanted):
            return np.full(len(wanted), -1, np.int32), np.full(len(wanted), -1, np.int64)
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        found = (self._keys[place] == wanted) & [key is not None for key in keys]
        return (
            np.where(found, self._shard[place], -1).astype(np.int32),
            np.where(found, self._row[place], -1).astype(np.int64),
        )

    def append(self, keys: Sequence[bytes], values: Array) -> None:
        """Add arrays (n, *shape) as one new shard."""
        if keys:
            self._write_values(keys, values)
            self._merge_small()

    def packed(self, keys: Collection[bytes]) -> Iterator[tuple[list[bytes], bytes]]:
        """Yield those of some arrays that are here: keys and content of a shard file at a time."""
        wanted = sorted(keys)
        owners, rows = self.lookup(wanted)
        for owner in np.unique(owners[owners >= 0]):
            values = self.shards[owner].values
            here = np.flatnonzero(owners == owner)
            step = max(1, _PACKED_BYTES // max(1, values[0].nbytes))
            for some in (here[start : start + step] for start in range(0, len(here), step)):
                names = [wanted[i] for i in some]
                sink = pa.BufferOutputStream()
                _write_file(_batch(names, values[rows[some]]), sink)
                yield names, sink.getvalue().to_pybytes()

    def adopt(self, content: bytes) -> None:
        """Add a shard file that another machine has packed; a damaged one is dropped."""
        _write_atomically(self.folder / _name("values"), lambda path: path.write_bytes(content))
        self.refresh()

    def _write_values(self, keys: Sequence[bytes], values: Array) -> None:
        self._write("values", _batch(keys, values))

    def append_failures(self, reasons: dict[bytes, str]) -> None:
        """Remember why values cannot be decoded, so that they are not tried again."""
        if reasons:
            columns = [pa.array(list(reasons), pa.binary(16)), pa.array(list(reasons.values()))]
            self._write("failed", pa.record_batch(columns, names=["key", "reason"]))

    def _write(self, kind: str, batch: pa.RecordBatch) -> None:
        def write(path: Path) -> None:
            with pa.OSFile(str(path), "wb") as sink:
                _write_file(batch, sink)

        _write_atomically(self.folder / _name(kind), write)
        self.refresh()

    def _open(self, path: Path) -> list[Shard]:
        try:
            batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            keys = batch.column("key")
            if path.name.startswith("failed-"):
                reasons = batch.column("reason").to_pylist()
                self.failed.update(zip(keys.to_pylist(), reasons, strict=True))
                return []
            shape = json.loads(batch.schema.metadata[b"shape"])
            # Not `to_numpy`, which would load pandas.
            values = np.from_dlpack(batch.column("value").flatten())
            names = np.array(keys.to_pylist(), "S16")
            return [Shard(path, names, values.reshape(len(names), *shape))]
        except FileNotFoundError:  # another process merged or pruned it meanwhile
            return []
        except (pa.ArrowInvalid, OSError, KeyError, ValueError) as error:
            logger.warning("cache shard dropped path=%s reason=%s", path.name, error)
            path.unlink(missing_ok=True)
            return []

    def _add(self, shards: list[Shard]) -> None:
        first = len(self.shards)
        self.shards += shards
        keys = np.concatenate([self._keys, *(shard.keys for shard in shards)])
        owner = [np.full(len(s.keys), first + i, np.int32) for i, s in enumerate(shards)]
        rows = [np.arange(len(s.keys), dtype=np.int64) for s in shards]
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._shard = np.concatenate([self._shard, *owner])[order]
        self._row = np.concatenate([self._row, *rows])[order]

    def _merge_small(self) -> None:
        """Rewrite many small shards of one shape as one, so that open files stay few."""
        small = [s for s in self.shards if s.values.nbytes < _SMALL_BYTES and s.path.exists()]
        groups: dict[tuple, list[Shard]] = {}
        for shard in small:
            groups.setdefault((shard.values.shape[1:], shard.values.dtype), []).append(shard)
        for group in groups.values():
            if len(group) > _MERGE_ABOVE:
                keys = [key for shard in group for key in shard.whole_keys()]
                values = np.concatenate([shard.values for shard in group])
                self._write_values(keys, values)
                for shard in group:  # only now: a kill before this leaves both, which is harmless
                    shard.path.unlink(missing_ok=True)
        self._remove_stale()

    def _remove_stale(self) -> None:
        for path, found in files(self.folder, "*.part"):
            if time.time() - found.st_mtime > _STALE_SECONDS:
                path.unlink(missing_ok=True)


def _batch(keys: Sequence[bytes], values: Array) -> pa.RecordBatch:
    flat = np.ascontiguousarray(values).reshape(-1)
    size = int(np.prod(values.shape[1:], dtype=np.int64))
    columns = [
        pa.array(list(keys), pa.binary(16)),
        pa.FixedSizeListArray.from_arrays(pa.array(flat), size),
    ]
    shape = json.dumps(list(values.shape[1:]))
    batch = pa.record_batch(columns, names=["key", "value"])
    return batch.replace_schema_metadata({"shape": shape})


def _write_file(batch: pa.RecordBatch, sink: pa.NativeFile) -> None:
    with pa.ipc.new_file(sink, batch.schema) as file:
        file.write_batch(batch)


def _name(kind: str) -> str:
    return f"{kind}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.arrow"


def files(folder: Path, pattern: str) -> list[tuple[Path, os.stat_result]]:
    """List files; what another process renames or removes meanwhile is left out."""
    listed = []
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            listed.append((path, path.stat()))
    return listed


def _write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        write(part)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)  # what did not fit on the disk takes no room there
