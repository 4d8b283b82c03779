"""Entry point of the process that runs one round, named on its standard input.

A process of its own, so that training never blocks annotators, a crash harms one round only, and
the round goes on when the server restarts. It waits, loaded, for `{"round": ..., "token": ...}`;
the lease token is not in its arguments, so it is not in process listings either. On a Ray node it
is told `{"round": ..., "follow": true}`: it reads its token from the store, and ends when its
standard input does, because the worker that would have told of its end is gone then.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import structlog

from backend.labelstudio.client import LabelStudio
from backend.logs import configure
from backend.queue.naming import name_current
from backend.rounds.context import Run
from backend.rounds.encode import warm_cache
from backend.rounds.ending import Stopped, ended
from backend.rounds.pipeline import run_round
from backend.settings import ProjectSettings, Settings, settings
from backend.store.store import Claim, Store, open_store
from backend.store.tables import Kind, State


def main() -> int:
    """Wait for the round to run, and run it."""
    line = sys.stdin.readline()
    if not line:  # the server has no round for us any more
        return 0
    told = json.loads(line)
    with contextlib.suppress(OSError):  # Linux: `ps -o comm` and `top` tell who works
        Path("/proc/self/comm").write_text("equipoise-round")
    config = settings()
    configure(config.log_level)
    signal.signal(signal.SIGTERM, _stop)
    if told.get("follow"):
        threading.Thread(target=_end_with_input, daemon=True).start()
    store = open_store(config)
    found = store.round(told["round"])
    claim = Claim(found.id, told.get("token") or found.token)
    structlog.contextvars.bind_contextvars(
        project=found.project, round=found.id, version=found.version
    )
    return ended(store, config, claim, lambda: _work(store, config, claim))


def _work(store: Store, config: Settings, claim: Claim) -> int:
    found = store.round(claim.round)
    options = ProjectSettings(**found.options["settings"])
    with LabelStudio.of(config) as studio:
        run = Run(store, config, studio, claim, found, options)
        fetched = run_round(run)
        if store.round(claim.round).state == State.RUNNING:
            store.finish(claim, State.DONE)  # a ranking that was not to be published
            return 0
        name_current(studio, store, config, found.project)
        if found.kind == Kind.COLD:
            warm_cache(run, fetched)
    return 0


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):  # not by Python's file, which is locked while it waits
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
