"""What the page shows of tasks' media: fetched as a round would, decoded elsewhere, and kept.

This process decodes nothing: backend/media/small_process.py does, which gets the bytes and no
token. What was made is kept below `thumbnails/` in data_dir, the longest unused goes first.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend.errors import EquipoiseError
from backend.labelstudio.circuit import Circuit
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig, parse
from backend.media.decode_log import DecodeLog
from backend.media.shown import SUFFIX, media_type
from backend.media.small_process import Decoder
from backend.media.task_media import MediaSource
from backend.media.values import sample_of
from backend.settings import Settings
from model.sample import MediaError, Reference, content_key
from model.schema import Modality

Json = dict[str, Any]
MOST_BYTES = 200_000_000
_LARGEST = 64_000_000
"""Bytes of the files of one value: this process holds them for a moment."""
_SECONDS = 20.0
_REMEMBERED = 2000
_FRESH = 300.0
"""Seconds for which a task's data, or the reason why something is absent, are not asked again."""


@dataclass(frozen=True)
class Shown:
    """Something to look at.

    Attributes:
        content: its bytes.
        media_type: what they are.
        reason: why there is nothing instead; "" where there is.
    """

    content: bytes
    media_type: str
    reason: str = ""


class Thumbnails:
    """Makes and keeps them. Thread-safe; callers see to it that not many are made at once."""

    def __init__(self, settings: Settings) -> None:
        """Start with what an earlier process has kept."""
        self._settings = settings.model_copy(
            update={"max_media_bytes": min(_LARGEST, settings.max_media_bytes)}
        )
        self._folder = settings.data_dir / "thumbnails"
        self._decoder = Decoder()
        self._circuit = Circuit()
        self._lock = threading.Lock()
        self._data: OrderedDict[tuple[int, int], tuple[float, Json]] = OrderedDict()
        self._reasons: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._size = -1

    def stop(self) -> None:
        """End the process that decodes."""
        self._decoder.stop()

    def of(self, project: int, task: int, label_config: str, place: int, play: bool) -> Shown:
        """Return what can be shown of one modality of a task; a reason where nothing can.

        Args:
            project: whose task it is.
            task: its id.
            label_config: the project's.
            place: of the modality in the schema.
            play: of a sound, the sound instead of its picture.
        """
        config = parse(label_config)
        modality = config.schema.modalities[place]
        kind = media_type(modality.kind, play)
        try:
            with LabelStudio.of(
                self._settings, timeout=10.0, attempts=1, circuit=self._circuit
            ) as studio:
                data = self._task_data(studio, project, task)
                source = MediaSource(studio, self._settings, attempts=1)
                found: dict[str, Reference] = {}
                value = _value(source, {"id": task, "data": data}, config, modality, found)
                key = f"{(content_key(value) or b'').hex()}-{modality.kind}"
                if value is None:
                    raise MediaError("the task has no such value")
                kept = self._kept(key + SUFFIX[kind])
                if kept is not None:
                    return Shown(kept, kind)
                self._remembered(key)
                request = {
                    "label_config": label_config,
                    "data": data,
                    "place": place,
                    "play": play,
                }
                made = self._make(key, request, found)
        except (MediaError, EquipoiseError) as error:
            return Shown(b"", kind, str(error))
        self._keep(key + SUFFIX[kind], made)
        return Shown(made, kind)

    def _make(self, key: str, request: Json, found: dict[str, Reference]) -> bytes:
        refused = DecodeLog(self._settings.decoding).refused()
        seconds = min(_SECONDS, self._settings.decode_timeout)
        try:
            files: dict[str, bytes] = {}
            for address, reference in found.items():
                if reference.key in refused:
                    raise MediaError(refused[reference.key])
                content = reference.load()
                assert isinstance(content, bytes)
                files[address] = content
                if sum(map(len, files.values())) > _LARGEST:
                    raise MediaError(f"more than {_LARGEST} bytes, which are too many to show")
            return self._decoder.make(request, files, seconds)
        except MediaError as error:
            _put(self._reasons, self._lock, key, str(error))
            raise

    def _remembered(self, key: str) -> None:
        at, reason = self._reasons.get(key, (-_FRESH, ""))
        if time.monotonic() - at < _FRESH:
            raise MediaError(reason)

    def _task_data(self, studio: LabelStudio, project: int, task: int) -> Json:
        at, data = self._data.get((project, task), (-_FRESH, {}))
        if time.monotonic() - at > _FRESH:
            data = studio.task_data(project, task)
            _put(self._data, self._lock, (project, task), data)
        return data

    # The folder

    def _kept(self, name: str) -> bytes | None:
        path = self._folder / name[:2] / name
        with suppress(OSError):
            content = path.read_bytes()
            os.utime(path)
            return content
        return None

    def _keep(self, name: str, content: bytes) -> None:
        path = self._folder / name[:2] / name
        beside = path.with_name(f".{name}.{threading.get_ident()}")
        with suppress(OSError):  # on a full disk it is made again
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content)
            beside.replace(path)
        beside.unlink(missing_ok=True)
        with self._lock:
            self._size = self._size + len(content) if self._size >= 0 else _bytes(self._folder)
            if self._size > MOST_BYTES:
                self._size = prune(self._folder, MOST_BYTES * 3 // 4)


def _value(
    source: MediaSource,
    task: Json,
    config: LabelConfig,
    modality: Modality,
    found: dict[str, Reference],
) -> Any:
    """Return a modality's raw value; `found` gets what it names, by address."""

    def refer(address: str) -> Reference:
        return found.setdefault(address, source.reference(address, task))

    only = replace(config, sources={modality.key: config.sources[modality.key]})
    return sample_of(task["data"], only, refer)[modality.key]


def _put(into: OrderedDict[Any, Any], lock: threading.Lock, key: Any, value: Any) -> None:
    with lock:
        into[key] = (time.monotonic(), value)
        into.move_to_end(key)
        while len(into) > _REMEMBERED:
            into.popitem(last=False)


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    found = []
    for path in folder.glob("??/*"):
        with suppress(OSError):  # another server has deleted it meanwhile
            at = path.stat()
            found.append((at.st_mtime, at.st_size, path))
    return sorted(found)


def _bytes(folder: Path) -> int:
    return sum(size for _, size, _ in _files(folder))


def prune(folder: Path, most: int) -> int:
    """Delete what was not looked at for longest, and return the bytes that are left."""
    files = _files(folder)
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= most:
            break
        path.unlink(missing_ok=True)
        total -= size
    return total
