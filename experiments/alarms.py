"""How often the stopping hint would have been wrong, measured on replays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from experiments.cells import Cell, unpack
from experiments.curves import Curves, data_of
from experiments.replay import initial_rows, pool_rows
from experiments.stopping import AGREEMENT, WINDOW, Step, compare, hint
from strategies.pool import TargetKind

TOLERANCE = 0.01


@dataclass(frozen=True)
class Alarms:
    """The hint over all contenders, seeds and rounds of one replay.

    Attributes:
        moments: rounds in which the hint could be given and rounds were left.
        flat: moments at which the remaining rounds brought at most `TOLERANCE`.
        given: moments at which the hint said "flattened".
        false: of those given, moments at which more than `TOLERANCE` was still to come.
        yield_: improvement by the next round per share of predictions changed.
    """

    moments: int
    flat: int
    given: int
    false: int
    yield_: float

    @property
    def false_rate(self) -> float:
        """Share of the hints that were wrong; NaN if none was given."""
        return self.false / self.given if self.given else float("nan")


def steps(chain: list[Cell], pool: np.ndarray, initial: np.ndarray, curves: Curves) -> list[Step]:
    """Compare each model of a chain with the one before, on what is unlabelled in both rounds."""
    target = curves.schema.multimodal
    width = len(target.classes) if target.kind is TargetKind.MULTILABEL else 1
    spread = None if target.low is None or target.high is None else target.high - target.low
    rows = np.sort(pool)
    labelled = set(initial.tolist())
    found = []
    for before, after in pairwise(chain):
        labelled.update(before.batch)
        free = ~np.isin(rows, list(labelled))
        agreement, changed = compare(
            target.kind,
            unpack(before.predictions, width)[free],
            unpack(after.predictions, width)[free],
            spread,
        )
        found.append(Step(after.labels, agreement, changed))
    return found


def measure(
    curves: Curves, folder: Path, *, window: int = WINDOW, threshold: float = AGREEMENT
) -> Alarms:
    """Give the hint at every moment of a replay and compare it with what came after.

    What came after is taken from the mean curve of the contender over seeds, because one seed's
    test score moves by chance alone. Numbers count in shares of the label range.
    """
    data = data_of(folder)
    main = curves.sign * curves.of("multimodal").mean(axis=1) / _unit(curves)
    moments = flat = given = false = 0
    changes, gains = [], []
    for (name, seed), chain in curves.cells.items():
        row = curves.index(name)
        if row is None or seed not in curves.seeds:
            continue
        pool = pool_rows(data, curves.plan, seed)
        history = steps(chain, pool, initial_rows(data, curves.plan, seed), curves)
        for number in range(window, len(chain) - 1):
            found = hint(history[:number], window=window, threshold=threshold)
            assert found is not None
            worth = main[row, number + 1 :].max() - main[row, number]
            moments += 1
            flat += worth <= TOLERANCE
            given += found.flattened
            false += found.flattened and worth > TOLERANCE
            changes.append(found.most)
            gains.append(main[row, number + 1] - main[row, number])
    total = float(np.sum(changes))
    return Alarms(moments, flat, given, false, float(np.sum(gains)) / total if total else 0.0)


def _unit(curves: Curves) -> float:
    target = curves.schema.multimodal
    if target.kind is not TargetKind.REGRESSION or target.low is None or target.high is None:
        return 1.0
    return target.high - target.low
