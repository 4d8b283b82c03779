"""One row per comparison, a table for people and JSON for machines."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: what was measured, with its sizes.
        ours: our number.
        baseline: the other's number; None where there is no other.
        unit: of both.
        ratio: what is required to reach `required`.
        required: e.g. ">= 5" or "<= 2"; "" where nothing is required.
        note: what has to be known to read the row.
        cpu_ratio: the ratio by processor time, which other programs on the machine blur less.
    """

    what: str
    ours: float
    baseline: float | None
    unit: str
    ratio: float | None = None
    required: str = ""
    note: str = ""
    cpu_ratio: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the requirement is met; None without one."""
        if not self.required or self.ratio is None:
            return None
        sign, limit = self.required.split()
        return self.ratio >= float(limit) if sign == ">=" else self.ratio <= float(limit)


@dataclass(frozen=True)
class Timing:
    """Seconds of wall time, and of processor time over all threads."""

    wall: float
    cpu: float

    def per(self, count: int) -> Timing:
        """Return the time of one of `count` equal parts."""
        return Timing(self.wall / count, self.cpu / count)


def times_faster(
    what: str, ours: Timing, baseline: Timing, required: str, note: str = "", unit: str = "s"
) -> Row:
    """Make a row whose ratio is baseline / ours by wall time; unit is s or ms."""
    scale = {"s": 1.0, "ms": 1e3}[unit]
    ratio, cpu = baseline.wall / ours.wall, baseline.cpu / ours.cpu
    return Row(what, ours.wall * scale, baseline.wall * scale, unit, ratio, required, note, cpu)


def timed(function: Callable[[], Result], repeats: int = 1) -> tuple[Timing, Result]:
    """Return the least times of some calls, and the last result."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timing(min(walls), min(cpus)), result


def memory_now() -> int:
    """Resident memory in bytes (Linux)."""
    return _status("VmRSS")


def peak_memory(function: Callable[[], object]) -> int:
    """Return the highest resident memory in bytes while the function ran (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # Forget the peak so far.
    function()
    return _status("VmHWM")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def arguments(description: str) -> argparse.Namespace:
    """Parse --quick and --json."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--only", default="", help="run the parts whose name contains this")
    return parser.parse_args()


def run(parts: dict[str, Callable[[bool], Iterable[Row]]], options: argparse.Namespace) -> None:
    """Run the parts, print each row as it comes, write JSON at the end."""
    rows: list[Row] = []
    head = f"{'what':<62} {'ours':>10} {'baseline':>10} {'unit':<5} {'ratio':>8} {'by cpu':>8}"
    print(f"{head} required")
    for name, part in parts.items():
        if options.only in name:
            for row in part(options.quick):
                if options.quick:  # The requirements are for the full sizes.
                    row = replace(row, required="")
                print(_line(row), flush=True)
                rows.append(row)
    if options.json:
        load = os.getloadavg()[0]
        machine = {
            "load": load,
            "threads": torch.get_num_threads(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        }
        found = [{**asdict(row), "met": row.met} for row in rows]
        document = {"machine": machine, "quick": options.quick, "rows": found}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _line(row: Row) -> str:
    baseline = "-" if row.baseline is None else f"{row.baseline:.4g}"
    ratio, cpu = ("-" if x is None else f"{x:.4g}" for x in (row.ratio, row.cpu_ratio))
    met = {True: " met", False: " NOT MET", None: ""}[row.met]
    line = f"{row.what:<62} {row.ours:>10.4g} {baseline:>10} {row.unit:<5} {ratio:>8} {cpu:>8} "
    note = f"\n    {row.note}" if row.note else ""
    return f"{line}{row.required}{met}{note}"
