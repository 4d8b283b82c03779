"""Time as this machine had it: wall time less what a hypervisor gave to other machines.

A deadline is a promise of the code on a machine that is there. Where the processors are shared
with other virtual machines, the kernel counts the time in which they were taken away (*steal* in
proc_stat(5)). Load by the tests themselves is not stolen: it counts.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

COUNTERS = Path("/proc/stat")
STEAL = 8
"""Place of the stolen time in the line of all processors."""


def _stolen_now() -> float:
    """Return the seconds that all processors together were taken away; only Linux counts them."""
    if not COUNTERS.exists():
        return 0.0
    total = COUNTERS.read_text().split("\n", 1)[0].split()
    return int(total[STEAL]) / os.sysconf("SC_CLK_TCK")


class Stopwatch:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._stolen = _stolen_now()
        self._began = time.monotonic()

    @property
    def wall(self) -> float:
        """Seconds since the start, on the clock on the wall."""
        return time.monotonic() - self._began

    @property
    def seconds(self) -> float:
        """Seconds that an answer took for sure, at least 0: for deadlines of a few seconds.

        Who asks, who answers and what both wait for may each meet another processor that is
        away, one after the other, so the time that all of them lost is taken off.
        """
        wall = self.wall
        return max(0.0, wall - (_stolen_now() - self._stolen))

    @property
    def work(self) -> float:
        """Seconds that long work would have taken with all processors there all the time."""
        return self.wall * (1 - self.lost)

    @property
    def lost(self) -> float:
        """Share of the processors' time since the start that was taken away, at most 1."""
        whole = self.wall * (os.cpu_count() or 1)
        return min(1.0, (_stolen_now() - self._stolen) / whole)
