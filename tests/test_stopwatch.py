"""The stopwatch takes off what the kernel counted as stolen, and judges only where it can."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests import stopwatch
from tests.stopwatch import Stopwatch, Taken, Verdicts, quantile

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
    taken = watch.taken
    assert 0.3 <= taken.least == taken.most <= watch.wall
    assert watch.lost == 0
    counters(tmp_path, 7.2)
    taken = watch.taken
    assert taken.most - taken.least == pytest.approx(0.2, abs=0.01)
    assert watch.lost == pytest.approx(0.2 / (watch.wall * (os.cpu_count() or 1)), rel=0.1)
    assert watch.work == pytest.approx(watch.wall * (1 - watch.lost), rel=0.1)
    counters(tmp_path, 700)  # all processors together can lose more than the clock shows
    assert watch.taken.least == 0
    assert watch.taken.most >= 0.3
    assert watch.lost == 1


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Verdicts:
    """Return verdicts of this test alone."""
    fresh = Verdicts(0, [])
    monkeypatch.setattr(stopwatch, "verdicts", fresh)
    return fresh


def test_a_deadline_is_missed_kept_or_not_judged(verdicts: Verdicts) -> None:
    watch = Stopwatch()
    Taken(0.1, 0.9).check(1.0, "soon")
    assert (verdicts.kept, verdicts.not_judged) == (1, [])
    for late in (Taken(1.0, 1.0), Taken(1.2, 5.0)):
        with pytest.raises(AssertionError, match="1 s at most: late"):
            late.check(1.0, "late")
    assert watch.unjudged == 0
    Taken(0.2, 1.0).check(1.0, "who knows")
    assert (verdicts.kept, verdicts.not_judged) == (1, ["0.20 to 1.00 s: who knows"])
    assert watch.unjudged == 1
    assert Stopwatch().unjudged == 0
    assert str(verdicts) == "deadlines: 1 kept, 1 not judged\n  0.20 to 1.00 s: who knows"


def test_under_heavy_steal_a_missed_deadline_is_counted_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdicts: Verdicts
) -> None:
    monkeypatch.setattr(stopwatch, "COUNTERS", counters(tmp_path, 7.0))
    watch = Stopwatch()
    time.sleep(0.1)
    counters(tmp_path, 70)
    watch.taken.check(0.05, "a slow answer")
    assert verdicts.kept == 0
    assert len(verdicts.not_judged) == 1


def test_without_steal_a_missed_deadline_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdicts: Verdicts
) -> None:
    monkeypatch.setattr(stopwatch, "COUNTERS", counters(tmp_path, 7.0))
    watch = Stopwatch()
    time.sleep(0.1)
    with pytest.raises(AssertionError, match="a slow answer"):
        watch.taken.check(0.05, "a slow answer")


def test_the_quantile_is_what_that_share_does_not_exceed() -> None:
    taken = [Taken(n / 10, n) for n in (3, 1, 2, 4)]
    assert quantile(taken, 0.5) == Taken(0.3, 3)
    assert quantile(taken, 0.99) == quantile(taken, 1) == Taken(0.4, 4)
    assert quantile(taken, 0) == Taken(0.1, 1)
