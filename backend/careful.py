"""Decoding after a crash: in a process of its own, one file at a time, until it comes through.

`python -m backend.careful FILE` is that process; `carefully` runs it from a round's worker. A file
that kills it twice, or holds it up for `decode_timeout`, is refused from then on with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from backend.errors import EquipoiseError
from backend.journal import Journal
from backend.labelconfig import parse
from backend.labelstudio import LabelStudio
from backend.logs import configure
from backend.media import MediaSource
from backend.run import Run
from backend.settings import settings
from model.cache import FeatureCache
from model.preparation import prepare
from model.presets import Preset

log = structlog.get_logger(__name__)
_STRIKES = 2
"""A process may be killed for another reason once."""


def carefully(run: Run, tasks: Sequence[dict[str, Any]], label_config: str, preset: Preset) -> None:
    """Put all features of a round into the cache, whatever its files do to their decoders.

    Raises:
        EquipoiseError: it cannot be done for another reason than a file.
        RoundLost: the round was cancelled meanwhile.
    """
    path = run.folder / "careful.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    work = {"tasks": list(tasks), "label_config": label_config, "preset": preset.to_json()}
    path.write_text(json.dumps(work))
    strikes: Counter[str] = Counter()
    log.warning("a process died while decoding; this round decodes one file at a time")
    try:
        while not _try(run, path, strikes):
            pass
        run.journal.clear()
    finally:
        path.unlink(missing_ok=True)


def _try(run: Run, path: Path, strikes: Counter[str]) -> bool:
    """Run the process once; True when it came through, else its culprit is noted."""
    process = subprocess.Popen([sys.executable, "-m", "backend.careful", str(path)])
    try:
        while process.poll() is None:
            time.sleep(0.2)
            run.progress("decode", 0, 0)
            for key, since in run.journal.of(process.pid).items():
                if time.monotonic() - since > run.settings.decode_timeout:
                    reason = f"took longer than {run.settings.decode_timeout:g} s to decode"
                    run.journal.refuse(key, reason)
                    log.warning("file left out", reason=reason)
                    return False
        if process.returncode == 0:
            return True
        found = run.journal.of(process.pid)
        if not found:
            raise EquipoiseError(
                f"Media cannot be prepared: the process that decodes them ended with status "
                f"{process.returncode}; the lines before this one in the log say why."
            )
        for key in found:
            strikes[key] += 1
            if strikes[key] >= _STRIKES:
                reason = f"crashed its decoder (status {process.returncode})"
                run.journal.refuse(key, reason)
                log.warning("file left out", reason=reason)
        return False
    finally:
        process.kill()
        process.wait()
        run.journal.forget(process.pid)


def main(argv: list[str]) -> int:
    """Prepare the tasks that the only argument, a file, names."""
    config = settings()
    configure(config.log_level)
    parent = os.getppid()
    work = json.loads(Path(argv[0]).read_text())
    label_config = parse(work["label_config"])

    def go_on(stage: str, done: int, total: int) -> None:
        if os.getppid() != parent:
            raise EquipoiseError("The worker is gone.")

    journal = Journal(config.data_dir / "decoding")
    with LabelStudio(config.label_studio_url, config.key) as studio, journal.open():
        source = MediaSource(studio, config, journal=journal)
        prepare(
            [source.sample(task, label_config) for task in work["tasks"]],
            label_config.schema,
            Preset.from_json(work["preset"]),
            FeatureCache(config.data_dir / "cache"),
            workers=1,
            progress=go_on,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
