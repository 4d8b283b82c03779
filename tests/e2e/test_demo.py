"""`equipoise demo` as a user runs it, with fewer rounds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # minutes on a busy machine


def test_the_demo_plays_rounds_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backend.commands.main", "demo", "--once", "--rounds", "2"]
    done = subprocess.run(
        [*command, "--labels", "12", "--orders", "1", "--folder", str(tmp_path / "demo")],
        cwd=ROOT,
        env={**os.environ, "EQUIPOISE_OVERRIDES": '{"epochs": 10, "min_steps": 60}'},
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [
        found.split() for found in re.findall(r"^ +\d+ +\d+(?: +[\d.]+){6}$", done.stdout, re.M)
    ]
    assert [row[:2] for row in rows] == [["1", "12"], ["2", "24"]]
    assert "With 24 labels auto reaches" in done.stdout
    assert (tmp_path / "demo" / "learning-curve.png").stat().st_size > 10_000
    assert re.search(r"user demo@equipoise.example, password \S{12,}", done.stdout)
    for url in re.findall(r"runs on (http://\S+)", done.stdout):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
