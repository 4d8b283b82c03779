"""All measurements of one replay as arrays, and as one tidy table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from experiments.cells import Cell, Cells
from experiments.dataset import DataError
from experiments.plan import RANDOM, Plan
from experiments.prepared import Prepared, read
from experiments.replay import DATA
from model.metrics import LOWER_IS_BETTER, MAIN_METRIC
from model.schema import Schema
from strategies.pool import TargetKind

Grid = npt.NDArray[np.float64]
"""(S, E, R): contender, seed, round; NaN where not measured."""


@dataclass(frozen=True)
class Curves:
    """One replay.

    Attributes:
        plan: what was run.
        schema: modalities and targets.
        contenders: S names, those with at least one full seed.
        seeds: E seeds that every contender has finished.
        labels: R numbers of labels.
        values: `accuracy`, `accuracy:<modality>`, `pool:...`, `chosen:...`, `class:...` -> grid.
        cells: (contender, seed) -> its measurements.
    """

    plan: Plan
    schema: Schema
    contenders: tuple[str, ...]
    seeds: tuple[int, ...]
    labels: npt.NDArray[np.int64]
    values: Mapping[str, Grid]
    cells: Mapping[tuple[str, int], list[Cell]]

    @property
    def name(self) -> str:
        """Name of the setting."""
        return self.plan.name

    @property
    def kind(self) -> TargetKind:
        """Kind of the multimodal target."""
        return self.schema.multimodal.kind

    @property
    def metric(self) -> str:
        """Name of the main metric."""
        return MAIN_METRIC[self.kind]

    @property
    def sign(self) -> int:
        """1 if a higher value of the main metric is better, else -1."""
        return -1 if self.metric in LOWER_IS_BETTER else 1

    @property
    def heads(self) -> dict[str, str]:
        """Head -> metric name: `multimodal`, then each modality whose own head was measured."""
        names = {"multimodal": self.metric}
        for name in self.schema.names:
            metric = f"{MAIN_METRIC[self.schema.unimodal(name).kind]}:{name}"
            if metric in self.values:
                names[name] = metric
        return names

    def of(self, head: str) -> Grid:
        """Return a head's main metric."""
        return self.values[self.heads[head]]

    def head_sign(self, head: str) -> int:
        """Return 1 if a higher value of a head's metric is better, else -1."""
        return -1 if self.heads[head].partition(":")[0] in LOWER_IS_BETTER else 1

    def index(self, contender: str) -> int | None:
        """Return a contender's place, or None."""
        return self.contenders.index(contender) if contender in self.contenders else None

    @property
    def reference(self) -> int:
        """Place of what all are compared with: random, else the first contender."""
        return self.index(RANDOM) or 0

    def by_strength(self) -> list[str]:
        """List modalities, strongest first: by the reference's own heads over all rounds."""
        names = [name for name in self.heads if name != "multimodal"]
        worth = {n: self.head_sign(n) * float(np.mean(self.of(n)[self.reference])) for n in names}
        return sorted(names, key=lambda name: -worth[name])


def load(folder: Path) -> Curves:
    """Read the measurements of a replay, finished or not.

    Only seeds that every contender has finished are used, so that all comparisons are paired.

    Raises:
        DataError: no seed is finished.
    """
    plan = Plan.read(folder)
    cells = Cells(folder)
    found = {
        (contender, seed): chain
        for contender in plan.contenders
        for seed in range(plan.seeds)
        if len(chain := cells.chain(contender, seed, plan.rounds)) == plan.rounds
    }
    names = tuple(c for c in plan.contenders if any(key[0] == c for key in found))
    seeds = tuple(s for s in range(plan.seeds) if names and all((c, s) in found for c in names))
    if not seeds:
        raise DataError(f"{folder}: no seed is finished by every strategy yet")
    grids: dict[str, Grid] = {}
    shape = (len(names), len(seeds), plan.rounds)
    for row, contender in enumerate(names):
        for column, seed in enumerate(seeds):
            for cell in found[contender, seed]:
                for name, value in _values(cell).items():
                    grid = grids.setdefault(name, np.full(shape, np.nan))
                    grid[row, column, cell.round] = value
    schema = data_of(folder).schema
    return Curves(plan, schema, names, seeds, np.array(plan.labels), grids, found)


def data_of(folder: Path) -> Prepared:
    """Return the data of a replay."""
    return read(folder / DATA)


def _values(cell: Cell) -> dict[str, float]:
    return {
        **cell.metrics,
        **{f"class:{name}": value for name, value in cell.classes.items()},
        **{f"pool:{name}": value for name, value in cell.pool.items()},
        **{f"chosen:{name}": value for name, value in cell.chosen.items()},
    }


def tidy(curves: Curves) -> pa.Table:
    """Return every measurement as rows: setting, strategy, seed, round, labels, metric, value."""
    rows: dict[str, list[Any]] = {
        name: [] for name in ("setting", "strategy", "seed", "round", "labels", "metric", "value")
    }
    for metric in sorted(curves.values):
        grid = curves.values[metric]
        for (row, column, number), value in np.ndenumerate(grid):
            if np.isfinite(value):
                entry = (
                    curves.name,
                    curves.contenders[row],
                    curves.seeds[column],
                    number,
                    int(curves.labels[number]),
                    metric,
                    float(value),
                )
                for name, item in zip(rows, entry, strict=True):
                    rows[name].append(item)
    return pa.table(rows)
