"""How often the stopping hint would have been wrong, measured on replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from experiments.cells import Cell, unpack
from experiments.curves import Curves, data_of
from experiments.replay import initial_rows, pool_rows
from model.stopping import AGREEMENT, WINDOW, Step, compare, hint
from strategies.pool import TargetKind

TOLERANCE = 0.01
ACCEPTED = 0.1
LEAST_HINTS = 20
_THRESHOLDS = np.round(np.arange(0.7, 1.0, 0.01), 2)


@dataclass(frozen=True)
class Moment:
    """A round of a replay in which the hint can be given.

    Attributes:
        agreement: what the hint goes by.
        changed: mean share of predictions that changed.
        left: improvement that the rest of the curve still brought, at best.
        gain: improvement by the next round.
    """

    agreement: float
    changed: float
    left: float
    gain: float


@dataclass(frozen=True)
class Alarms:
    """The hint over all contenders, seeds and rounds of one or more replays.

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


def moments(curves: Curves, folder: Path, *, window: int = WINDOW) -> list[Moment]:
    """Return every moment of a replay at which the hint can be given, with what came after.

    What came after is taken from the mean curve of the contender over seeds, because one seed's
    test score moves by chance alone. Numbers count in shares of the label range.
    """
    data = data_of(folder)
    main = curves.sign * curves.of("multimodal").mean(axis=1) / _unit(curves)
    found = []
    for (name, seed), chain in curves.cells.items():
        row = curves.index(name)
        if row is None or seed not in curves.seeds:
            continue
        pool = pool_rows(data, curves.plan, seed)
        history = steps(chain, pool, initial_rows(folder, seed), curves)
        for number in range(window, len(chain) - 1):
            said = hint(history[:number], window=window)
            assert said is not None
            now, later = main[row, number], main[row, number + 1 :]
            found.append(
                Moment(said.agreement, said.most, float(later.max() - now), float(later[0] - now))
            )
    return found


def count(found: Sequence[Moment], threshold: float = AGREEMENT) -> Alarms:
    """Give the hint at every moment and compare it with what came after."""
    given = [one for one in found if one.agreement >= threshold]
    changed = sum(one.changed for one in found)
    return Alarms(
        len(found),
        sum(one.left <= TOLERANCE for one in found),
        len(given),
        sum(one.left > TOLERANCE for one in given),
        sum(one.gain for one in found) / changed if changed else 0.0,
    )


def tune(groups: Sequence[Sequence[Moment]]) -> float:
    """Return the agreement from which a hint is given: the lowest with few enough wrong hints.

    What counts is the group that fares worst, so that a data set whose curves are all flat does
    not speak for the others. Where no threshold with at least `LEAST_HINTS` hints in all has at
    most the share `ACCEPTED` of wrong ones, the one with the smallest share is taken; without so
    many hints, 1.
    """
    tried = []
    for threshold in _THRESHOLDS.tolist():
        found = [count(group, threshold) for group in groups]
        if sum(one.given for one in found) >= LEAST_HINTS:
            tried.append((max(one.false_rate for one in found if one.given), threshold))
    good = [threshold for rate, threshold in tried if rate <= ACCEPTED]
    return min(good) if good else min(tried)[1] if tried else 1.0


def held_out(groups: Mapping[str, Sequence[Moment]]) -> dict[str, tuple[float, Alarms]]:
    """Measure each group with the threshold that is tuned on all other groups.

    Returns:
        group -> (threshold, its alarms); {} for less than two groups.
    """
    if len(groups) < 2:
        return {}
    found = {}
    for name, mine in groups.items():
        threshold = tune([theirs for other, theirs in groups.items() if other != name])
        found[name] = (threshold, count(mine, threshold))
    return found


def _unit(curves: Curves) -> float:
    target = curves.schema.multimodal
    if target.kind is not TargetKind.REGRESSION or target.low is None or target.high is None:
        return 1.0
    return target.high - target.low
