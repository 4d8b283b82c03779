"""How often each fault is injected, with which seed, and where the measured figures go."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.report import commit
from tests.stopwatch import Stopwatch

FULL = os.environ.get("EQUIPOISE_FAULTS") == "full"
SECONDS = float(os.environ.get("EQUIPOISE_FAULTS_SECONDS", "inf"))
"""A row stops early after this long; the report then says how often it really ran."""
SEED = int(os.environ.get("EQUIPOISE_FAULTS_SEED", "0"))
REPORT = os.environ.get("EQUIPOISE_FAULTS_REPORT", "")
"""File of one JSON object per line; empty: figures are printed only."""


def _wished() -> dict[str, int]:
    """Read EQUIPOISE_FAULTS_COUNTS, like `kill-worker=20,soak=100`."""
    given = os.environ.get("EQUIPOISE_FAULTS_COUNTS", "")
    pairs = (item.split("=") for item in given.split(",") if item)
    return {name.strip(): int(count) for name, count in pairs}


def count(row: str, short: int, full: int) -> int:
    """Return how often a row's fault is injected in this run."""
    return _wished().get(row, full if FULL else short)


def turns(row: str, short: int, full: int) -> Iterator[int]:
    """Count a row's turns from 0, until all are done or its time is over."""
    started = time.monotonic()
    for turn in range(count(row, short, full)):
        if turn and time.monotonic() - started > SECONDS:
            return
        yield turn


def full_only(row: str) -> pytest.MarkDecorator:
    """Mark a row that has no short form: it runs in a full run, or where its count is given."""
    return pytest.mark.skipif(not count(row, 0, 1), reason="only in `make faults`")


def rng(row: str) -> random.Random:
    """Return the row's own random numbers: the same for the same seed, whatever ran before."""
    return random.Random(f"{SEED}:{row}")


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    row: str
    fault: str
    times: int
    held: str
    measured: str
    seed: int
    seconds: float
    stolen: float
    unjudged: int
    at: float


def note(row: str, fault: str, times: int, held: str, measured: str, whole: Stopwatch) -> None:
    """Print a row's figure, and append it to the report where one is asked for.

    Args:
        row: short name, also that of its count and its random numbers.
        fault: what was injected.
        times: how often it was injected in this run.
        held: what was checked and held.
        measured: the figure.
        whole: started with the test.
    """
    taken, lost = round(whole.wall, 1), round(whole.lost, 3)
    figure = Figure(
        row, fault, times, held, measured, SEED, taken, lost, whole.unjudged, time.time()
    )
    print(
        f"\n{row}: {times} x {fault}: {held}; {measured} "
        f"({taken} s, seed {SEED}, {lost:.0%} of the processors' time stolen, "
        f"{whole.unjudged} deadlines not judged)"
    )
    if REPORT:
        line: dict[str, Any] = {**vars(figure), "commit": commit()}
        with Path(REPORT).open("a") as file:
            file.write(json.dumps(line) + "\n")
