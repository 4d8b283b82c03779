"""Entry point of the process that has a round run on Ray, where the setting `executor` is "ray".

It is told a round as backend/rounds/process.py is, lasts as long, ends with the same status and is
stopped in the same way, so the server neither knows nor imports Ray. The round itself runs in
a process of its own on one of the cluster's nodes (backend/rounds/ray_node.py).
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import structlog

from backend.errors import RoundLost
from backend.logs import configure
from backend.rounds.ending import Stopped, ended
from backend.rounds.ray_node import Wanted, run_there
from backend.settings import Settings, settings
from backend.store.lease import LEASE_SECONDS
from backend.store.store import Claim, Store, open_store
from model import cluster

WAITING = "waiting for a Ray node"
_POLL = 0.5
_STOP_SECONDS = 8


def main() -> int:
    """Wait for the round to run, and have it run."""
    config = settings()
    cluster.load(config.ray_address)
    line = sys.stdin.readline()
    if not line:  # the server has no round for us any more
        return 0
    told = json.loads(line)
    claim = Claim(told["round"], told["token"])
    configure(config.log_level)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    store = open_store(config)
    found = store.round(claim.round)
    structlog.contextvars.bind_contextvars(project=found.project, round=found.id)

    def work() -> int:
        with cluster.connected(config.ray_address, logs=True) as ray:
            # Again: Ray has set a handler of its own.
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            return _follow(ray, store, config, claim, stop)

    return ended(store, config, claim, work)


def _follow(ray: Any, store: Store, config: Settings, claim: Claim, stop: threading.Event) -> int:
    """Start the round and wait for its end; renew its lease until it renews it itself."""
    folder = ""
    if config.artifacts_url is None:  # then the node shares our data_dir, which it sees by this
        folder = str(store.path(store.round(claim.round).folder))
        Path(folder).mkdir(parents=True, exist_ok=True)
    job = _remote(ray, config).remote(Wanted.of(config, claim.round, folder))
    renewed = 0.0
    try:
        while not ray.wait([job], timeout=_POLL)[0]:
            if stop.is_set():
                raise Stopped
            if time.monotonic() - renewed > LEASE_SECONDS / 4:
                renewed = time.monotonic()
                if store.round(claim.round).phase in ("", WAITING):
                    store.renew(claim, phase=WAITING)
    except (Stopped, RoundLost):
        ray.cancel(job)
        ray.wait([job], timeout=_STOP_SECONDS)
        raise
    return int(cluster.result(ray, job))


def _remote(ray: Any, config: Settings) -> Any:
    """Return what starts a round on a node: once, as what it writes must not be written twice."""
    gpu = config.device == "cuda" or (
        config.device == "auto" and ray.cluster_resources().get("GPU", 0) >= 1
    )
    options: dict[str, Any] = {
        "num_cpus": config.ray_cpus,
        "num_gpus": 1 if gpu else 0,
        "max_retries": 0,
        "name": "equipoise round",
    }
    if config.database.startswith("sqlite"):  # it is only safe on the machine that has the disk
        options["resources"] = cluster.this_machine(ray)
    return ray.remote(run_there).options(**options)


if __name__ == "__main__":
    sys.exit(main())
