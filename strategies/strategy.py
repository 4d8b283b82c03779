"""A strategy: how it scores tasks or builds a batch, what it needs and where it is defined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from strategies import options as options_module
from strategies.diverse import DIVERSE, DIVERSE_NEEDS, diverse_batch
from strategies.errors import EmptyPool, UnsupportedTarget
from strategies.names import EVERY_TARGET, REGISTERED, fitting
from strategies.options import Option
from strategies.pool import IntArray, Need, Pool, Selection, TargetKind
from strategies.ranking import Candidates, Scores, by_score
from strategies.validation import check_pool


@dataclass(frozen=True)
class Strategy:
    """One way to choose what to label next: `score` or `build_batch`, never both.

    Attributes:
        name: registered name.
        needs: what the pool must hold.
        paper: where it was published.
        summary: one sentence.
        score: (pool, candidates, rng, **options) -> Scores, for strategies that judge each task by
            itself. The batch is the top n, or with the option `diverse` spread over the features.
        build_batch: (pool, n, candidates, rng, **options) -> Selection, for strategies that choose
            tasks together.
        needs_by_target: what the pool must hold where that depends on the kind of target.

    Options are keyword-only with the paper's values as defaults.
    """

    name: str
    needs: frozenset[Need]
    paper: str
    summary: str
    score: Callable[..., Scores] | None = None
    build_batch: Callable[..., Selection] | None = None
    needs_by_target: Mapping[TargetKind, frozenset[Need]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.score is None) == (self.build_batch is None):
            raise ValueError(f"Strategy {self.name!r} needs either score or build_batch.")

    @property
    def targets(self) -> frozenset[TargetKind]:
        """The kinds of target it is defined for (`names.py`); all while it is not registered."""
        entry = REGISTERED.get(self.name)
        return EVERY_TARGET if entry is None else entry.targets

    def needs_for(
        self, target: TargetKind, options: Mapping[str, Any] | None = None
    ) -> frozenset[Need]:
        """Return what the pool must hold for a kind of target, with these options."""
        needs = self.needs_by_target.get(target, self.needs)
        return needs | DIVERSE_NEEDS if (options or {}).get("diverse") else needs

    @cached_property
    def options(self) -> dict[str, Option]:
        """Option name -> kind, default and meaning; those of the look at the pool included."""
        function = self.score or self.build_batch
        assert function is not None
        found = options_module.own(function)
        if self.score is not None:
            found["diverse"] = DIVERSE
        needs = self.needs.union(*self.needs_by_target.values())
        return {**found, **options_module.of_look(needs)}

    def look_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the given options that `model.look` has to obey."""
        self.check_options(options)
        return {name: value for name, value in options.items() if self.options[name].of_look}

    def check(self, target: TargetKind) -> None:
        """Raise UnsupportedTarget, naming the strategies that fit, if this one does not."""
        if target not in self.targets:
            raise UnsupportedTarget(
                f"Strategy {self.name!r} is not defined for {target.value} targets. "
                f"For these choose one of: {', '.join(sorted(fitting(target)))}."
            )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ValueError, saying what there is, for an unknown option or an impossible value."""
        unknown = sorted(options.keys() - self.options.keys())
        if unknown:
            known = ", ".join(sorted(self.options)) or "none"
            raise ValueError(f"Strategy {self.name!r} has no option {unknown}; it has: {known}.")
        for name, value in options.items():
            self.options[name].check(f"Strategy {self.name!r}", name, value)

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
            options: see `options`. Those of the look are only checked: it has obeyed them.
        """
        self.check(pool.target)
        self.check_options(options)
        if n < 1:
            raise ValueError(f"Strategy {self.name!r} was asked for {n} tasks; ask for 1 or more.")
        candidates = _candidates(pool, exclude, labelled)
        check_pool(pool, self.needs_for(pool.target, options), self.name)
        selection = self._select(pool, min(n, candidates.rows.size), candidates, rng, options)
        scores = np.full(pool.size, -np.inf)
        scores[candidates.rows] = np.asarray(selection.scores)[candidates.rows]
        notes = {"strategy": self.name, **selection.notes}
        return Selection(selection.order, scores, selection.components, notes)

    def _select(
        self,
        pool: Pool,
        n: int,
        candidates: Candidates,
        rng: np.random.Generator,
        options: Mapping[str, Any],
    ) -> Selection:
        own = {name: v for name, v in options.items() if not self.options[name].of_look}
        if self.build_batch is not None:
            return self.build_batch(pool, n, candidates, rng, **own)
        assert self.score is not None
        diverse = own.pop("diverse", False)
        scores = self.score(pool, candidates, rng, **own)
        if diverse:
            return diverse_batch(pool, scores, n, candidates, rng)
        return by_score(scores, candidates)


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
