"""The strategy that fits by itself: by kind of target, and by what is known so far.

It refuses no kind of target and no model: it asks for what every network can give and uses it.

- Nothing labelled: MaxHerding, which covers the pool.
- Classes, one or several: UHerding, at every stage. Its temperature and its radius follow the
  labels by themselves, from coverage to doubt (measured in docs/strategies.md).
- Numbers: MaxHerding, as doubt about a number takes stochastic passes that not every network has.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from strategies.herding import max_herding, u_herding
from strategies.pool import Need, Pool, Selection, TargetKind
from strategies.ranking import Candidates
from strategies.strategy import Strategy


def auto(pool: Pool, n: int, candidates: Candidates, rng: np.random.Generator) -> Selection:
    """Rank by the strategy that fits; the notes say which and why."""
    name, reason = choice(pool, candidates)
    chosen = {"max_herding": max_herding, "u_herding": u_herding}[name]
    selection = chosen(pool, n, candidates, rng)
    return replace(selection, notes={**selection.notes, "chosen": name, "because": reason})


def choice(pool: Pool, candidates: Candidates) -> tuple[str, str]:
    """Return the name of the strategy that fits, and why."""
    if _labels(pool, candidates) == 0:
        return "max_herding", "nothing is labelled yet: the first batch covers the pool"
    if pool.target is TargetKind.REGRESSION:
        return "max_herding", "a number is asked for: what is unlike the labelled tasks comes first"
    return "u_herding", "classes are asked for: what the model is unsure of, near-duplicates once"


def _labels(pool: Pool, candidates: Candidates) -> int:
    if pool.labelled_count is not None:
        return pool.labelled_count
    known = pool.labelled_features
    outside = len(next(iter(known.values()))) if known else 0
    return len(candidates.labelled) + outside


_COVERS = frozenset({Need.FEATURES, Need.LABELLED_FEATURES})

AUTO = Strategy(
    name="auto",
    build_batch=auto,
    needs=_COVERS | {Need.PROBABILITIES, Need.HELD_OUT},
    needs_by_target={TargetKind.REGRESSION: _COVERS},
    paper="Bae et al., ECCV 2024 and ICLR 2025",
    summary="Fits by itself: covers the pool at first, then goes by the model's doubt.",
)
