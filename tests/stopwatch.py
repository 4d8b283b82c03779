"""Time as this machine had it, and deadlines that are judged only where that can be told.

A deadline is a promise of the code on a machine that is there. Where the processors are shared
with other virtual machines, the kernel counts the time in which they were taken away (*steal* in
proc_stat(5)), of all processors together. How much of it an answer waited for is anywhere between
nothing and all of it, so a deadline is missed only if it is missed with all of it taken off, and
kept only if the clock on the wall says so. In between it is **not judged**, which is counted and
said at the end of the tests. Load by the tests themselves is not stolen: it counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Taken:
    """What an answer took: `least` with all that was stolen taken off, `most` on the wall."""

    least: float
    most: float

    def check(self, limit: float, what: object) -> None:
        """Fail if a deadline was missed for sure; note it where nobody can tell."""
        assert self.least < limit, f"{self.least:.2f} s at least, {limit:g} s at most: {what}"
        if self.most < limit:
            verdicts.kept += 1
        else:
            verdicts.not_judged.append(f"{self.least:.2f} to {self.most:.2f} s: {str(what)[:100]}")


@dataclass
class Verdicts:
    """How many deadlines were kept, and the words of those that could not be judged."""

    kept: int
    not_judged: list[str]

    def __str__(self) -> str:
        """Say both; nothing where there was no deadline."""
        if not self.kept and not self.not_judged:
            return ""
        words = f"deadlines: {self.kept} kept, {len(self.not_judged)} not judged"
        return "\n  ".join([words, *self.not_judged])


verdicts = Verdicts(0, [])


def quantile(taken: Sequence[Taken], share: float) -> Taken:
    """Return what `share` of the answers did not exceed; of 0 answers nothing can be said."""
    place = min(len(taken) - 1, int(share * len(taken)))
    return Taken(sorted(t.least for t in taken)[place], sorted(t.most for t in taken)[place])


class Stopwatch:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._stolen = _stolen_now()
        self._began = time.monotonic()
        self._unjudged = len(verdicts.not_judged)

    @property
    def wall(self) -> float:
        """Seconds since the start, on the clock on the wall."""
        return time.monotonic() - self._began

    @property
    def taken(self) -> Taken:
        """What an answer took, for deadlines of a few seconds.

        Who asks, who answers and what both wait for may each meet another processor that is
        away, one after the other, so it may be the time that all of them lost.
        """
        wall = self.wall
        return Taken(max(0.0, wall - (_stolen_now() - self._stolen)), wall)

    @property
    def unjudged(self) -> int:
        """How many deadlines could not be judged since the start."""
        return len(verdicts.not_judged) - self._unjudged

    @property
    def work(self) -> float:
        """Seconds that long work would have taken with all processors there all the time."""
        return self.wall * (1 - self.lost)

    @property
    def lost(self) -> float:
        """Share of the processors' time since the start that was taken away, at most 1."""
        whole = self.wall * (os.cpu_count() or 1)
        return min(1.0, (_stolen_now() - self._stolen) / whole)
