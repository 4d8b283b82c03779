"""Tasks that chance chooses: how often a model is right may be measured on these alone.

Every task has a place in one random order of the project that never changes. A batch takes some
tasks from the front of what is unlabelled in that order. So the tasks up to a place, whoever chose
them, are a uniform sample of the project as soon as they are labelled: also those that the strategy
had chosen by then, which would be missing from a draw among what it left.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strategies.pool import BoolArray, FloatArray, IntArray

GAPS = 0.1
"""Share of the tasks up to a place that may lack a label: somebody is at them, or they are new."""


def places(tasks: npt.ArrayLike, key: tuple[int, int]) -> FloatArray:
    """Return (N,) places in [0, 1) of task ids (N,): even, independent, the same for ever.

    Args:
        tasks: (N,) ids, not negative.
        key: which order; (seed, project id).

    Note: splitmix64 (Steele et al. 2014) of id and key, so that no task depends on the others.
    """
    with np.errstate(over="ignore"):
        state = np.asarray(tasks, dtype=np.uint64)
        for part in key:
            state = _mixed(state + np.uint64(part) * np.uint64(0xD1342543DE82EF95))
    return (state >> np.uint64(11)).astype(np.float64) / 2.0**53


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def with_drawn(
    order: IntArray, place: FloatArray, share: float, top: int, start: float
) -> tuple[IntArray, IntArray]:
    """Put tasks that chance chooses evenly between those that a strategy chose.

    Args:
        order: (n,) rows of the pool, most valuable first.
        place: (N,) places of the pool's rows in the random order.
        share: how many of the first `top` are drawn, in [0, 1].
        top: how many will be served.
        start: in [0, 1): where in its first stretch the first one stands. Random, so that a share
            is drawn even where new rounds come faster than 1 / share labels.

    Returns:
        The new order, and the rows that were drawn, in the order they are served.
    """
    top = min(top, len(order))
    if share <= 0 or top == 0:
        return order, np.zeros(0, np.int64)
    at = np.floor((np.arange(top) + start) / share).astype(np.int64)
    at = at[at < top]
    drawn = order[np.argsort(place[order], kind="stable")[: len(at)]]
    found = np.empty_like(order)
    free = np.ones(len(order), dtype=bool)
    free[at] = False
    found[at] = drawn
    found[free] = order[~np.isin(order, drawn)]
    return found, drawn


def sample(place: FloatArray, labelled: BoolArray, drawn: BoolArray) -> BoolArray:
    """Return which labelled tasks are a uniform sample of all tasks: (T,).

    Those up to the last place that was drawn and is labelled, if at most `GAPS` of the tasks up to
    there are without a label.

    Args:
        place: (T,) places of all tasks that can be labelled.
        labelled: (T,) whether they are.
        drawn: (T,) whether chance put them into the queue.
    """
    order = np.argsort(place, kind="stable")
    done = labelled[order]
    full = np.cumsum(done) >= (1 - GAPS) * np.arange(1, len(order) + 1)
    ends = np.flatnonzero(full & done & drawn[order])
    found = np.zeros(len(order), dtype=bool)
    if len(ends):
        upto = order[: ends[-1] + 1]
        found[upto] = labelled[upto]
    return found
