"""What the first request after a round waits for: a ranking of 100,000 tasks and 50 classes.

python -m benchmarks.serving [--quick] [--json FILE]

Each way is a process of its own, as a server that has just started is. The baseline is that of 0.1:
the whole table, and every task's probabilities as a list of Python's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from backend.store import rankings
from benchmarks._report import Row, Timing, arguments, run, times_faster
from model.schema import Modality, ModalityKind, Schema, Target
from strategies import Pool, Selection
from strategies.pool import TargetKind

_READ = """
import json, sys, time
from pathlib import Path
import numpy as np
import pyarrow.parquet as pq
from backend.store import rankings
path = Path(sys.argv[2])
def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
before = memory("VmRSS")
wall, cpu = time.perf_counter(), time.process_time()
if sys.argv[1] == "ours":
    table = rankings.load_answers(path)
    values = rankings.outputs_of(table)["kind"]
    scores = rankings.numbers(table.column("queue_score"))
else:
    table = pq.read_table(path)
    values = np.array(table.column("output:kind").to_pylist(), dtype=np.float32)
    scores = table.column("queue_score").to_numpy()
rows = {task: row for row, task in enumerate(table.column("task").to_pylist())}
took = time.perf_counter() - wall, time.process_time() - cpu
more = (memory("VmHWM") - before) / 1024
print(json.dumps([*took, more, float(values.sum()), float(scores.sum())]))
"""


def _read(how: str, path: Path) -> list[float]:
    command = [sys.executable, "-c", _READ, how, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


def compare(quick: bool) -> list[Row]:
    """Write a ranking and read it both ways, three times in turn; the least times count."""
    tasks, classes = (1_000, 5) if quick else (100_000, 50)
    target = Target("kind", TargetKind.CLASSIFICATION, tuple(map(str, range(classes))))
    schema = Schema((Modality("words", ModalityKind.TEXT, "words"),), (target,))
    outputs = np.random.default_rng(0).dirichlet(np.ones(classes), tasks).astype(np.float32)
    selection = Selection(np.arange(tasks), np.zeros(tasks))
    facts = {"strategy": "auto", "round": 1, "model_version": "v"}
    table = rankings.build(range(tasks), Pool(tasks), selection, {"kind": outputs}, schema, facts)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ranking.parquet"
        rankings.save(table, path)
        runs = [(_read("ours", path), _read("lists", path)) for _ in range(3)]
    ours, lists = (np.array(each) for each in zip(*runs, strict=True))
    if not np.allclose(ours[:, 3:], lists[:, 3:]):
        raise SystemExit("the two ways read different numbers")
    what = f"load a ranking, {tasks:,} tasks, {classes} classes"
    least = [Timing(float(each[:, 0].min()), float(each[:, 1].min())) for each in (ours, lists)]
    memory = [float(each[:, 2].min()) for each in (ours, lists)]
    return [
        times_faster(what, least[0], least[1], ">= 2"),
        Row(f"{what}, memory", memory[0], memory[1], "MB", memory[1] / memory[0], ">= 2"),
    ]


if __name__ == "__main__":
    run({"load": compare}, arguments(str(__doc__)))
