"""Moments at which something is killed: phases of a round, and writes to the disk."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.stand import WAIT, Stand

PHASES = ("fetch", "encode", "train", "evaluate", "rank", "publish")
MOMENTS = ("any", "start", *PHASES, "cache file", "checkpoint file", "ranking file", "store file")


def wait_for(stand: Stand, moment: str) -> bool:
    """Wait for a moment of the round that was asked for; False when the round ended before."""
    data = stand.server.data
    end = time.monotonic() + WAIT
    while not (stand.running() or stand.server.workers()):
        assert time.monotonic() < end, "no round starts"
        time.sleep(0.02)
    if moment in ("any", "start"):
        time.sleep(stand.rng.uniform(0, 6) if moment == "any" else 0.05)
        return True
    if moment == "store file":
        stand.until(lambda: stand.server.workers(), "a worker runs")
        time.sleep(stand.rng.uniform(0, 4))
    log = data / "equipoise.db-wal"
    size = _stamp(log)
    while True:
        running = stand.running()
        if running is None:
            return False
        if moment == running["phase"]:
            return True
        if moment == "store file" and _stamp(log) != size:
            return True
        if moment.endswith("file") and _appears(data, moment, running["folder"]):
            return True
        assert time.monotonic() < end, f"{moment} is never reached"


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _appears(data: Path, moment: str, folder: str) -> bool:
    """Tell whether a file is being written; looked at without a pause for half a second."""
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        if moment == "cache file" and any((data / "cache").glob("*/*.part")):
            return True
        if moment == "checkpoint file" and any((data / folder).glob(".checkpoint.*")):
            return True
        if moment == "ranking file" and any((data / folder).glob("*.writing")):
            return True
    return False
