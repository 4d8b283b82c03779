"""Task data -> Sample, for live projects: backend/media/safe_fetch.py gets what is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig
from backend.media.decode_log import DecodeLog
from backend.media.safe_fetch import SafeFetch
from backend.media.values import sample_of
from backend.settings import Settings
from model.sample import MediaError, Reference, Sample


class MediaSource:
    """Turns task data into samples whose media are fetched on demand. Thread-safe."""

    def __init__(
        self,
        studio: LabelStudio,
        settings: Settings,
        *,
        attempts: int = 3,
        project: int = 0,
        decode_log: DecodeLog | None = None,
        suspects: bool = True,
    ) -> None:
        """Remember where media may come from.

        Args:
            studio: Label Studio, for its media and its token.
            settings: other hosts, and limits.
            attempts: tries of a file on Label Studio when it does not answer.
            project: whose tasks they are.
            decode_log: notes what is being decoded, and knows which files crash their decoders.
            suspects: whether files that may have crashed a process are loaded.
        """
        self._project = project
        self._decode_log = decode_log
        self._refused = decode_log.refused() if decode_log is not None else {}
        if decode_log is not None and not suspects:
            waits = dict.fromkeys(decode_log.suspects(project), "a process died while decoding it")
            self._refused = {**waits, **self._refused}
        self._studio = studio
        self.fetch = SafeFetch(studio, settings, attempts=attempts)

    def sample(self, task: Mapping[str, Any], config: LabelConfig) -> Sample:
        """Return a task's raw values by `Modality.key`; what has the wrong type is absent."""
        data = task.get("data") or {}
        return sample_of(data, config, lambda address: self.reference(address, task))

    def reference(self, value: str, task: Mapping[str, Any]) -> Reference:
        """Return what is behind an address in a task's data."""
        stamp = ""
        try:
            local = self.fetch.local_file(value)
            if local is not None and local.is_file():
                found = local.stat()
                stamp = f"{found.st_size}:{found.st_mtime_ns}"
        except (MediaError, ValueError, OSError):
            pass  # fetch() says why when the value is wanted
        named = f"{self._studio.url}|{value}|{stamp}".encode(errors="backslashreplace")
        key = hashlib.sha256(named).hexdigest()
        task_id = task.get("id")
        decode_log = self._decode_log
        if decode_log is None:
            return Reference(key=key, load=lambda: self.fetch(value, task_id))
        return Reference(
            key=key,
            load=lambda: self._load(decode_log, key, value, task_id),
            done=lambda: decode_log.end(key),
        )

    def _load(self, decode_log: DecodeLog, key: str, value: str, task: int | None) -> bytes:
        if key in self._refused:
            raise MediaError(self._refused[key])
        return decode_log.load(key, self._project, lambda: self.fetch(value, task))
