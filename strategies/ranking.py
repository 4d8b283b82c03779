"""From scores and batches to a Selection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from strategies.pool import FloatArray, IntArray, Selection

Values = npt.NDArray[np.float64]
Notes = Mapping[str, str | float | int]


@dataclass(frozen=True)
class Candidates:
    """Which rows may be chosen.

    Attributes:
        rows: (C,) rows that may be selected, ascending.
        labelled: (L,) rows of the pool that have labels already, ascending.
        size: N, rows of the pool.
    """

    rows: IntArray
    labelled: IntArray
    size: int

    @property
    def weights(self) -> Values:
        """(N,) 1 where a row may be chosen, else 0."""
        weights = np.zeros(self.size)
        weights[self.rows] = 1
        return weights


@dataclass(frozen=True)
class Scores:
    """What a pointwise strategy says of each task by itself.

    Attributes:
        values: (N,) higher = label sooner.
        components: name -> (N,) arrays that explain them.
        notes: facts on how they were computed.
    """

    values: Values
    components: Mapping[str, FloatArray] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)


def descending(values: Values, rows: IntArray) -> IntArray:
    """Sort rows by falling values[rows]; ties keep their order."""
    return rows[np.argsort(-values[rows], kind="stable")]


def by_score(scores: Scores, candidates: Candidates) -> Selection:
    """Rank the candidates by score, ties by index."""
    order = descending(scores.values, candidates.rows)
    return Selection(order, scores.values, scores.components, scores.notes)


def batch_first(
    batch: IntArray,
    rest: Values,
    scores: Values,
    candidates: Candidates,
    components: Mapping[str, FloatArray] | None = None,
    notes: Notes | None = None,
) -> Selection:
    """Rank the batch in its own order, then every other candidate by falling `rest` (N,)."""
    left = np.setdiff1d(candidates.rows, batch, assume_unique=True)
    order = np.concatenate([batch, descending(rest, left)])
    return Selection(order.astype(np.int64), scores, components or {}, notes or {})
