"""Tests that share a Label Studio stay in one process each, and come first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.conftest import ROOT
from tests.shares import GROUPS, group_of

FILES = ("backend/test_a.py", "e2e/test_b.py", "e2e/test_levels.py", "faults/test_c.py")
TEST = """
import os, pathlib, pytest, time

@pytest.mark.parametrize("number", range(4))
def test_it(number):
    with pathlib.Path("said").open("a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], __file__, file=file)
    time.sleep(0.02)
"""


def test_groups_stay_together_and_come_first(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in FILES:
        file = tmp_path / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEST)
    command = [sys.executable, "-P", "-m", "pytest", "-p", "xdist", "-p", "tests.shares"]
    command += ["--import-mode=importlib", "-n", "2", "--dist", "loadgroup", "tests"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    env = {**kept, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "16 passed" in done.stdout, done.stdout + done.stderr
    said = [line.split() for line in (tmp_path / "said").read_text().splitlines()]
    workers = defaultdict(set)
    for worker, file in said:
        workers[group_of(str(Path(file).relative_to(tmp_path)))].add(worker)
    assert len(workers["live"]) == len(workers["live beside"]) == 1
    assert workers["live"] != workers["live beside"]
    assert {"e2e", "faults"} >= {Path(file).parent.name for _, file in said[:5]}


def test_every_place_of_a_group_is_there() -> None:
    for places in GROUPS.values():
        assert [place for place in places if not (ROOT / place).exists()] == []
