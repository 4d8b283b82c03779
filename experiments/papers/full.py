"""The full-data row: the same network on every label there is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from experiments.measuring import measure
from experiments.plan import Plan
from experiments.replay import data_of, trained


def missing(folder: Path) -> list[Callable[[], None]]:
    """Return the work that is left, one call per seed."""
    seeds = range(Plan.read(folder).seeds)
    return [partial(_measure, folder, seed) for seed in seeds if not _place(folder, seed).exists()]


def measured(folder: Path) -> dict[str, list[float]]:
    """Return metric -> its value for each seed that is done."""
    seeds = range(Plan.read(folder).seeds)
    found = [json.loads(p.read_text()) for s in seeds if (p := _place(folder, s)).exists()]
    return {name: [one[name] for one in found] for name in (found[0] if found else ())}


def _measure(folder: Path, seed: int) -> None:
    plan, data = Plan.read(folder), data_of(folder)
    values, _ = measure(trained(data, plan, np.sort(data.train), seed), data)
    place = _place(folder, seed)
    place.parent.mkdir(exist_ok=True)
    beside = place.with_suffix(f".{os.getpid()}.writing")
    beside.write_text(json.dumps(values))
    os.replace(beside, place)


def _place(folder: Path, seed: int) -> Path:
    return folder / "full" / f"seed-{seed}.json"
