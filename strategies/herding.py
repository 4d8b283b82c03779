"""MaxHerding and UHerding: cover the pool, at first evenly, later where the model is unsure.

MaxHerding (Bae et al., ECCV 2024) maximises generalised coverage with a Gaussian kernel on
features of length 1. UHerding (Bae et al., ICLR 2025) weighs each task by the model's uncertainty
about it. Two adaptations carry it through every budget: the temperature of the smallest
calibration error (few labels: flat uncertainty, so that it covers), and a radius that shrinks
with the distances between labelled tasks (many labels: it becomes uncertainty sampling).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from strategies.calibration import fitted_temperature, tempered
from strategies.coverage import REFERENCES
from strategies.diverse import RADIUS, spread
from strategies.pool import Need, Pool, Selection
from strategies.questions import mean_of, most_entropy, questions
from strategies.ranking import Candidates, Values, batch_first
from strategies.rows import map_rows
from strategies.strategy import Strategy
from strategies.uncertainty import confidence, entropy, margin, probabilities

References = Annotated[int, "tasks that coverage is measured on; above it a sample"]
Measure = Literal["margin", "entropy", "least_confidence"]


def max_herding(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    radius: Annotated[float, "of the kernel, on features of length 1"] = RADIUS,
    references: References = REFERENCES,
) -> Selection:
    """Rank by greedy coverage; the score is what a task would add by itself.

    After the batch comes every other candidate by the last gain known of it.
    """
    covered, _ = spread(
        pool, n, candidates, rng, weights=None, radius=radius, references=references
    )
    gains = covered.gains
    notes = {"radius": radius, "references": covered.references}
    return batch_first(covered.indices, covered.left, gains, candidates, {"gain": gains}, notes)


def u_herding(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    measure: Annotated[Measure, "of uncertainty, which weighs each task"] = "margin",
    radius: Annotated[
        float | None, "of the kernel; none: the smallest distance between labelled tasks"
    ] = None,
    references: References = REFERENCES,
) -> Selection:
    """Rank by greedy coverage weighed by uncertainty; the score is a task's own gain.

    The temperature is fitted on the pool's held-out predictions; where there are none the
    probabilities are taken as they are.
    """
    unsure = mean_of(
        pool,
        lambda one: uncertainty(one, measure, _temperature(one)),
        most_entropy if measure == "entropy" else None,
    )
    temperature = float(np.mean([_temperature(one) for one in questions(pool)]))
    covered, used = spread(
        pool, n, candidates, rng, weights=unsure, radius=radius, references=references
    )
    gains = covered.gains
    notes = {"radius": used, "temperature": temperature, "references": covered.references}
    components = {"gain": gains, "uncertainty": unsure}
    return batch_first(covered.indices, covered.left, gains, candidates, components, notes)


def _temperature(pool: Pool) -> float:
    held_out = pool.held_out
    if held_out is None or not len(held_out.truth):
        return 1.0
    return fitted_temperature(held_out, pool.target)


def uncertainty(pool: Pool, measure: Measure, temperature: float) -> Values:
    """Return how unsure the model is of each task at a temperature: (N,), not negative."""

    def of(p: Values) -> Values:
        p = tempered(p, temperature, pool.target)
        if measure == "entropy":
            return entropy(p, pool.target)
        return 1 - (margin if measure == "margin" else confidence)(p, pool.target)

    return np.maximum(map_rows(of, probabilities(pool)), 0)


MAX_HERDING = Strategy(
    name="max_herding",
    build_batch=max_herding,
    needs=frozenset({Need.FEATURES, Need.LABELLED_FEATURES}),
    paper="Bae et al., ECCV 2024",
    summary="Covers the pool: the task that most others are near to and no labelled one is.",
)

U_HERDING = Strategy(
    name="u_herding",
    build_batch=u_herding,
    needs=frozenset({Need.PROBABILITIES, Need.FEATURES, Need.LABELLED_FEATURES, Need.HELD_OUT}),
    paper="Bae et al., ICLR 2025",
    summary="Covers the part of the pool that the model is unsure of.",
)
