"""One row per comparison, a table for people and JSON for machines."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
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
    """

    what: str
    ours: float
    baseline: float | None
    unit: str
    ratio: float | None = None
    required: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the requirement is met; None without one."""
        if not self.required or self.ratio is None:
            return None
        sign, limit = self.required.split()
        return self.ratio >= float(limit) if sign == ">=" else self.ratio <= float(limit)


def times_faster(
    what: str, ours: float, baseline: float, required: str, note: str = "", unit: str = "s"
) -> Row:
    """Make a row whose ratio is baseline / ours."""
    return Row(what, ours, baseline, unit, baseline / ours, required, note)


def timed(function: Callable[[], Result], repeats: int = 1) -> tuple[float, Result]:
    """Return the least wall time of some calls in seconds, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    assert result is not None
    return best, result


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


def run(parts: dict[str, Callable[[bool], list[Row]]], options: argparse.Namespace) -> None:
    """Run the parts, print each row as it comes, write JSON at the end."""
    rows: list[Row] = []
    print(f"{'what':<62} {'ours':>10} {'baseline':>10} {'unit':<5} {'ratio':>8} required")
    for name, part in parts.items():
        if options.only in name:
            for row in part(options.quick):
                if options.quick:  # The requirements are for the full sizes.
                    row = replace(row, required="")
                print(_line(row), flush=True)
                rows.append(row)
    if options.json:
        machine = {"threads": torch.get_num_threads(), "platform": platform.platform()}
        found = [{**asdict(row), "met": row.met} for row in rows]
        document = {"machine": machine, "quick": options.quick, "rows": found}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _line(row: Row) -> str:
    baseline = "-" if row.baseline is None else f"{row.baseline:.4g}"
    ratio = "-" if row.ratio is None else f"{row.ratio:.4g}"
    met = {True: " met", False: " NOT MET", None: ""}[row.met]
    line = f"{row.what:<62} {row.ours:>10.4g} {baseline:>10} {row.unit:<5} {ratio:>8} "
    note = f"\n    {row.note}" if row.note else ""
    return f"{line}{row.required}{met}{note}"
