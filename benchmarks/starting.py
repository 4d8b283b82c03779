"""What the process of a round costs before it reads its first task.

python -m benchmarks.starting [--quick] [--json FILE]

The baseline loads scikit-learn's neighbours and scipy.stats as well, as every round once did for
the map, for near-duplicates and for intervals.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from benchmarks._report import Row, Timing, arguments, run, times_faster

_START = """
import json, resource, sys, time
begun = time.perf_counter()
import backend.rounds.process
for name in sys.argv[1:]:
    __import__(name)
took = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""
_ONCE = ("sklearn.neighbors", "scipy.stats")


def _start(*more: str) -> list[float]:
    command = [sys.executable, "-c", _START, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


def compare(quick: bool) -> list[Row]:
    """Start both in turn; the least counts, by time of processors as by the clock."""
    runs = [(_start(), _start(*_ONCE)) for _ in range(1 if quick else 5)]
    ours, once = (np.array(each).min(axis=0) for each in zip(*runs, strict=True))
    what = "start the process of a round"
    fast, slow = (Timing(float(each[0]), float(each[1])) for each in (ours, once))
    memory = float(ours[2]), float(once[2])
    return [
        times_faster(what, fast, slow, ">= 1.2"),
        Row(f"{what}, memory", *memory, "MB", memory[1] / memory[0], ">= 1"),
    ]


if __name__ == "__main__":
    run({"start": compare}, arguments(str(__doc__)))
