"""Decoding after a crash: in a process of its own, one file at a time, until it comes through.

`python -m backend.media.quarantine FILE` is that process; `carefully` runs it from a round's
process. A file that kills it twice, or holds it up for `decode_timeout`, is refused from then on
with the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from backend.children import python_module
from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.logs import configure
from backend.media.decode_log import DecodeLog
from backend.media.prepared import prepared
from backend.media.task_media import MediaSource
from backend.settings import settings
from model.loading import NO_MEMORY
from model.options import Preparation
from model.sample import Reference

log = structlog.get_logger(__name__)
_STRIKES = 2
"""A process may be killed for another reason once."""
_MEMORY_GB = 4
"""What one file may take beside what the process has when it begins."""


def carefully(
    tasks: Sequence[dict[str, Any]],
    label_config: str,
    preparation: Preparation,
    *,
    folder: Path,
    project: int,
    decode_log: DecodeLog,
    decode_timeout: float,
    alive: Callable[[], None],
) -> None:
    """Put all features of a round into the cache, whatever its files do to their decoders.

    Args:
        tasks: tasks as Label Studio shows them.
        label_config: the project's.
        preparation: names the encoders.
        folder: the round's, for the list of work.
        project: whose tasks they are, and whose suspects are looked at.
        decode_log: of this process.
        decode_timeout: seconds that one file may take.
        alive: called five times a second; what it raises ends the work.

    Raises:
        EquipoiseError: it cannot be done for another reason than a file.
    """
    path = folder / "careful.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    work = {
        "project": project,
        "tasks": list(tasks),
        "label_config": label_config,
        "preparation": preparation.to_json(),
    }
    suspects = decode_log.suspects(project)
    path.write_text(json.dumps(work))
    strikes: Counter[str] = Counter()
    log.warning("a process died while decoding; this round decodes one file at a time")
    try:
        while not _try(path, strikes, decode_log, decode_timeout, alive):
            pass
        decode_log.clear(project, suspects)
    finally:
        path.unlink(missing_ok=True)


def _try(
    path: Path,
    strikes: Counter[str],
    decode_log: DecodeLog,
    decode_timeout: float,
    alive: Callable[[], None],
) -> bool:
    """Run the process once; True when it came through, else its culprit is noted."""
    process = subprocess.Popen(python_module("backend.media.quarantine", str(path)))
    try:
        while process.poll() is None:
            time.sleep(0.2)
            alive()
            for key, since in decode_log.of(process.pid).items():
                if time.monotonic() - since > decode_timeout:
                    _refuse(decode_log, key, f"took longer than {decode_timeout:g} s to decode")
                    return False
        if process.returncode == 0:
            return True
        found = decode_log.of(process.pid)
        if not found:
            raise EquipoiseError(
                f"Media cannot be prepared: the process that decodes them ended with status "
                f"{process.returncode}; the lines before this one in the log say why."
            )
        for key in found:
            strikes[key] += 1
            if strikes[key] >= _STRIKES:
                _refuse(decode_log, key, f"crashed its decoder (status {process.returncode})")
        return False
    finally:
        process.kill()
        process.wait()
        decode_log.forget(process.pid)


def _refuse(decode_log: DecodeLog, key: str, reason: str) -> None:
    decode_log.refuse(key, reason)
    log.warning("file left out", reason=reason)


def main(argv: list[str]) -> int:
    """Prepare the tasks that the only argument, a file, names."""
    config = settings()
    configure(config.log_level)
    parent = os.getppid()
    work = json.loads(Path(argv[0]).read_text())

    def go_on(stage: str, done: int, total: int) -> None:
        if os.getppid() != parent:
            raise EquipoiseError("The process of the round is gone.")

    decode_log = DecodeLog(config.decoding)
    _bound_memory()
    parsed = parse(work["label_config"])
    with LabelStudio.of(config) as studio, decode_log.open():
        inputs = prepared(
            work["tasks"],
            parsed,
            Preparation.from_json(work["preparation"]),
            project=work["project"],
            studio=studio,
            settings=config,
            decode_log=decode_log,
            workers=1,
            progress=go_on,
        )
        source = MediaSource(studio, config, project=work["project"], decode_log=decode_log)
        keys = {modality.name: modality.key for modality in parsed.schema.modalities}
        for failure in inputs.failures:
            value = source.sample(work["tasks"][failure.index], parsed)[keys[failure.modality]]
            if failure.reason == NO_MEMORY and isinstance(value, Reference):
                _refuse(
                    decode_log, value.key, f"needs more than {_MEMORY_GB} GB of memory to decode"
                )
    return 0


def _bound_memory() -> None:
    """Let a file that grows without end fail here, before the system has no memory left."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MEMORY_GB * 2**30
    with contextlib.suppress(ValueError, OSError):  # it is bounded more tightly already
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
