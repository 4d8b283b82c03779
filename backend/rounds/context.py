"""What every phase of one round shares: the lease, progress, durations, folders."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import structlog

from backend.errors import RoundLost
from backend.labelstudio.client import LabelStudio
from backend.media.decode_log import DecodeLog
from backend.settings import ProjectSettings, Settings
from backend.store import disk
from backend.store.features import SharedFeatures
from backend.store.lease import kept_alive
from backend.store.mirror import Mirror
from backend.store.store import Claim, Store
from backend.store.tables import Round
from model.presets import Preset, preset

HUNG = 75
"""Status of a worker that gave up because a decoder hung."""
GONE = 76
"""Status of a worker whose round ran on a Ray node that died."""
log = structlog.get_logger(__name__)


@dataclass
class Run:
    """What every phase of one round needs."""

    store: Store
    settings: Settings
    studio: LabelStudio
    claim: Claim
    round: Round
    options: ProjectSettings
    durations: dict[str, float] = field(default_factory=dict)
    work: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    _lost: threading.Event = field(default_factory=threading.Event)
    _noted: float = 0.0

    @property
    def project(self) -> int:
        """Project id."""
        return self.round.project

    @property
    def folder(self) -> Path:
        """This round's folder."""
        return self.store.path(self.round.folder)

    @property
    def mirror(self) -> Mirror:
        """What the store keeps of the project's tasks."""
        return self.store.mirror(self.project)

    @property
    def features(self) -> SharedFeatures:
        """The feature cache, and the bucket behind it where there is one."""
        return SharedFeatures(self.settings.cache, self.store.artifacts, self.project)

    @cached_property
    def decode_log(self) -> DecodeLog:
        """What this process decodes."""
        return DecodeLog(self.settings.decoding)

    @property
    def preset(self) -> Preset:
        """The preset with the project's overrides."""
        return preset(self.options.preset, **self.options.overrides)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note a phase and how long it took; refuse to enter it without lease or disk space."""
        started = time.monotonic()
        disk.check(self.store.files, self.settings.min_free_bytes // 2)
        self.store.renew(self.claim, phase=name, done=0, total=0)
        log.info("phase", phase=name)
        yield
        self.durations[name] = round(time.monotonic() - started, 3)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Note progress at most once a second."""
        if self._lost.is_set():
            raise RoundLost("This round was cancelled or taken over.")
        if time.monotonic() - self._noted < 1.0:
            return
        self._noted = time.monotonic()
        # Half of what a start wants: the round itself may have used the rest.
        disk.check(self.store.files, self.settings.min_free_bytes // 2)
        self.store.renew(self.claim, done=done, total=total)
        log.debug("progress", stage=stage, done=done, total=total)

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Keep the lease alive while the body runs."""

        def renew() -> bool:
            if self.decode_log.oldest() > self.settings.decode_timeout:
                # Nothing can stop a decoder that hangs but the end of its process; its decode log
                # stays behind, and the next round decodes carefully.
                log.error("a file holds up its decoder; this round is given up")
                os._exit(HUNG)
            try:
                self.store.renew(self.claim)
            except RoundLost:
                self._lost.set()
                return False
            return True

        with kept_alive(renew):
            yield
