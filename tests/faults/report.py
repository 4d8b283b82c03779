"""Write docs/faults.md from the figures of a full run: `python -m tests.faults.report FILE`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
ORDER = (
    *("kill-worker", "kill-server", "kill-publishing", "studio", "gone", "restart"),
    *("disk-full", "disk-read-only", "clock-back", "clock-ahead"),
    *("storm", "predict", "fuzz-endpoints", "fuzz-bodies", "fuzz-configs", "fuzz-media", "media"),
    *("two-servers", "two-servers-postgresql", "rolling-restart", "soak", "team", "checker"),
)
PROMISED = {
    "kill-worker": 50,
    "kill-server": 50,
    "kill-publishing": 50,
    "studio": 24,
    "storm": 1000,
    "fuzz-endpoints": 5000,
    "fuzz-bodies": 5000,
    "two-servers": 20,
    "two-servers-postgresql": 20,
    "rolling-restart": 20,
    "soak": 200,
    "team": 600,
}
"""How often a full run injects a fault that is injected more than once."""
HEAD = """# Faults

What was broken on purpose, against a real Label Studio and a real server, and what held. `make
faults` runs it all and writes this page; a small selection runs with the tests. The promises are
those of [operations.md](operations.md) and [security.md](security.md).

**How often** is what really ran; "10 of 50" ran out of time. A row that ran with several seeds
has a line for each, and they count together. A fault counts as held when every check of it
passed: the version that Label Studio's queue names is looked at several times a second and must
be committed with all its predictions; after the fault the next round must have trained on exactly
the annotations that Label Studio holds; the store, the cache, the ranking and the checkpoint must
be readable, and nothing half-written may be left.

Deadlines are those of the promises. The machine is shared with other virtual machines; **stolen**
is the share of the row's time in which its processors were taken away, as its kernel counts it.
Answers' times are those of the clock on the wall. A deadline that is missed there, but not with all
stolen time taken off, is **not judged**. Rows of older commits left stolen time out, or gave the
**pressure** by which their deadlines were multiplied: how many processes wanted each processor.

| fault | how often | what held | measured | seed | seconds | machine | commit |
|---|---|---|---|---|---|---|---|
"""


def newest(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last figure of each row and seed, in the page's order."""
    last = {(line["row"], line["seed"]): line for line in lines}
    unknown = sorted({row for row, _ in last} - set(ORDER))
    assert not unknown, f"rows without a place in the table: {unknown}"
    return [last[key] for key in sorted(last, key=lambda key: (ORDER.index(key[0]), key[1]))]


def machine() -> str:
    """Describe where it ran."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} processors ({platform.machine()}), {memory:.0f} GB, "
        f"{platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )


def row_of(line: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Return one row of the table."""
    cells = (
        line["fault"],
        times_of(line, sum(other["times"] for other in rows if other["row"] == line["row"])),
        line["held"],
        line["measured"],
        line["seed"],
        round(line["seconds"]),
        machine_of(line),
        line["commit"],
    )
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"


def machine_of(line: dict[str, Any]) -> str:
    """Say how much of the machine was there, and how many deadlines could not be judged for it."""
    if "stolen" not in line:
        return f"pressure {line['pressure']}"
    unjudged = line.get("unjudged", 0)
    return f"{line['stolen']:.0%} stolen" + (f", {unjudged} not judged" if unjudged else "")


def times_of(line: dict[str, Any], total: int) -> str:
    """Say how often a row ran, and how often it should have where all seeds together ran less."""
    promised = PROMISED.get(line["row"], 0)
    times = f"{line['times']}, {total} in all" if total > line["times"] else str(total)
    return f"{times} of {promised}" if total < promised else times


def commit() -> str:
    """Return the commit that is checked out."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def main(paths: list[str]) -> None:
    """Read figures, oldest first, and write the page."""
    lines = [
        json.loads(line) for path in paths for line in Path(path).read_text().splitlines() if line
    ]
    rows = newest(lines)
    missing = [row for row in ORDER if row not in {line["row"] for line in rows}]
    day = time.strftime("%Y-%m-%d", time.gmtime(max(line["at"] for line in rows)))
    tail = f"\nRun on {day}: {machine()}.\n"
    if missing:
        tail += f"\nNot in this run: {', '.join(missing)}.\n"
    # What was found by reading stays: it comes from no run.
    _, section, kept = PAGE.read_text().partition("\n## Found by reading")
    PAGE.write_text(HEAD + "".join(row_of(line, rows) for line in rows) + tail + section + kept)
    print(f"{PAGE}: {len(rows)} rows")


if __name__ == "__main__":
    main(sys.argv[1:])
