"""The stopwatch leaves out what the kernel counted as stolen, and only that."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests import stopwatch
from tests.stopwatch import Stopwatch

TICKS = os.sysconf("SC_CLK_TCK")


def counters(folder: Path, stolen: float) -> Path:
    """Write counters of a machine that lost some seconds, as Linux does."""
    path = folder / "stat"
    ticks = int(stolen * TICKS)
    path.write_text(f"cpu  11 12 13 14 15 16 17 {ticks} 19 20\ncpu0 1 2 3 4 5 6 7 {ticks} 9 10\n")
    return path


def test_stolen_time_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "COUNTERS", counters(tmp_path, 7.0))
    watch = Stopwatch()
    time.sleep(0.3)
    assert 0.3 <= watch.seconds <= watch.wall
    assert watch.lost == 0
    counters(tmp_path, 7.2)
    assert watch.wall - 0.25 < watch.seconds < watch.wall - 0.15
    assert watch.lost == pytest.approx(0.2 / (watch.wall * (os.cpu_count() or 1)), rel=0.1)
    assert watch.work == pytest.approx(watch.wall * (1 - watch.lost), rel=0.1)
    counters(tmp_path, 700)  # all processors together can lose more than the clock shows
    assert watch.seconds == 0
    assert watch.lost == 1
