"""A strategy: a function from a pool to a selection, with what it needs and where it is defined."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from strategies.errors import EmptyPool, UnsupportedTarget
from strategies.pool import IntArray, Need, Pool, Selection, TargetKind
from strategies.ranking import Candidates
from strategies.validation import check_pool

EVERY_TARGET = frozenset(TargetKind)
CLASSES = frozenset({TargetKind.CLASSIFICATION, TargetKind.MULTILABEL})


@dataclass(frozen=True)
class Strategy:
    """One way to choose what to label next.

    Attributes:
        name: registered name.
        select: (pool, n, rng, candidates, **options) -> Selection; options are keyword-only with
            the paper's values as defaults.
        needs: what the pool must hold.
        targets: the kinds of target it is defined for.
        paper: where it was published.
        summary: one sentence.
    """

    name: str
    select: Callable[..., Selection]
    needs: frozenset[Need]
    targets: frozenset[TargetKind]
    paper: str
    summary: str

    @property
    def options(self) -> dict[str, Any]:
        """Option name -> default value."""
        parameters = inspect.signature(self.select).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def check(self, target: TargetKind) -> None:
        """Raise UnsupportedTarget, naming the strategies that fit, if this one does not."""
        if target in self.targets:
            return
        from strategies.registry import STRATEGIES  # The registry imports this module.

        fitting = sorted(name for name, other in STRATEGIES.items() if target in other.targets)
        raise UnsupportedTarget(
            f"Strategy {self.name!r} is not defined for {target.value} targets. "
            f"For these choose one of: {', '.join(fitting)}."
        )

    def __call__(
        self,
        pool: Pool,
        n: int,
        rng: np.random.Generator,
        *,
        exclude: npt.ArrayLike | None = None,
        labelled: npt.ArrayLike | None = None,
        **options: Any,
    ) -> Selection:
        """Rank the pool.

        Args:
            pool: the tasks.
            n: size of the batch, at least 1. More than there are candidates means all of them.
            rng: source of randomness; the same state gives the same selection on a CPU.
            exclude: rows that must not be selected.
            labelled: rows that have labels already: never selected, but they count as chosen
                where the method looks at labelled tasks.
            options: see `options`.
        """
        self.check(pool.target)
        self._check_options(options)
        if n < 1:
            raise ValueError(f"Strategy {self.name!r} was asked for {n} tasks; ask for 1 or more.")
        candidates = _candidates(pool, exclude, labelled)
        check_pool(pool, self.needs, self.name)
        selection = self.select(pool, min(n, candidates.rows.size), rng, candidates, **options)
        scores = np.full(pool.size, -np.inf)
        scores[candidates.rows] = np.asarray(selection.scores)[candidates.rows]
        notes = {"strategy": self.name, **selection.notes}
        return Selection(selection.order, scores, selection.components, notes)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        unknown = sorted(options.keys() - self.options.keys())
        if unknown:
            known = ", ".join(sorted(self.options)) or "none"
            raise ValueError(f"Strategy {self.name!r} has no option {unknown}; it has: {known}.")


def _candidates(
    pool: Pool, exclude: npt.ArrayLike | None, labelled: npt.ArrayLike | None
) -> Candidates:
    if pool.size < 1:
        raise EmptyPool("The pool is empty: import tasks or wait until some are unlabelled.")
    done = _row_indices(labelled, pool.size, "labelled")
    blocked = np.concatenate([done, _row_indices(exclude, pool.size, "exclude")])
    free = np.ones(pool.size, dtype=bool)
    free[blocked] = False
    rows = np.flatnonzero(free).astype(np.int64)
    if rows.size == 0:
        raise EmptyPool(f"All {pool.size} tasks of the pool are labelled or excluded.")
    return Candidates(rows, done, pool.size)


def _row_indices(values: npt.ArrayLike | None, size: int, name: str) -> IntArray:
    if values is None:
        return np.empty(0, dtype=np.int64)
    rows = np.asarray(values)
    if rows.size and not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(f"{name} must hold row indices, not {rows.dtype} values.")
    rows = np.unique(rows.astype(np.int64))
    if rows.size and (rows[0] < 0 or rows[-1] >= size):
        raise ValueError(f"{name} holds rows outside 0..{size - 1}.")
    return rows
