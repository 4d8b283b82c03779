"""A mirror's tasks as a mapping and as sequences: their data are read when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from backend.store.mirror import CHUNK, Mirror

Json = dict[str, Any]


class Tasks(Mapping[int, Json]):
    """The tasks of a mirror as they were counted once; their data are read when they are needed.

    A task that is deleted meanwhile has no data any more.
    """

    def __init__(self, mirror: Mirror) -> None:
        """Count the tasks."""
        self._mirror = mirror
        self._ids = dict.fromkeys(mirror.ids())

    def __getitem__(self, task: int) -> Json:
        if task not in self._ids:
            raise KeyError(task)
        return _task(task, self._mirror.data([task]))

    def __contains__(self, task: object) -> bool:
        return task in self._ids

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, ids: Sequence[int]) -> Sequence[Json]:
        """Return some tasks, which are not all read at once."""
        return Some(self._mirror, ids)


class Some(Sequence[Json]):
    """Tasks of a mirror in a given order, read as many at once as fit well into memory."""

    def __init__(self, mirror: Mirror, ids: Sequence[int]) -> None:
        """Remember which."""
        self._mirror = mirror
        self._ids = ids
        self._read: dict[int, Json] = {}
        self._start = -1

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, at: int) -> Json: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Json]: ...

    def __getitem__(self, at: int | slice) -> Json | Sequence[Json]:
        if isinstance(at, slice):
            return Some(self._mirror, self._ids[at])
        task = self._ids[at]
        start = (at % len(self._ids)) // CHUNK * CHUNK
        if start != self._start:
            self._read = self._mirror.data(self._ids[start : start + CHUNK])
            self._start = start
        return _task(task, self._read)


def _task(task: int, data: Mapping[int, Json]) -> Json:
    return {"id": task, "data": data.get(task, {})}
