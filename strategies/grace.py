"""GRACE: gradient-based multimodal active learning with curriculum (Li et al., ACM MM 2024).

With its two ablations: informativeness alone (GRACE-I), and without the curriculum (GRACE-IR).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from strategies.criteria import (
    EXACT_LIMIT,
    REFERENCE_SIZE,
    easiness,
    informativeness,
    representativeness,
    rescale,
)
from strategies.distance_sums import DistanceSums
from strategies.options import Device
from strategies.pool import FloatArray, Need, Pool
from strategies.ranking import Candidates, Scores
from strategies.strategy import Strategy

ExactLimit = Annotated[int, "candidates up to which representativeness is exact"]
ReferenceSize = Annotated[int, "random tasks that it is estimated from above that"]


def curriculum_weight(stage: float, alpha_init: float, alpha_step: float) -> float:
    """Return alpha_t = alpha_init - (t - 1) alpha_d, never below 0 (GRACE Eq. 8)."""
    # Rounded so that ten steps of 0.1 from 1.0 end at exactly 0.
    return max(0.0, round(alpha_init - (stage - 1) * alpha_step, 12))


def curriculum_stage(pool: Pool, alpha_labels: int) -> float:
    """Return t of GRACE Eq. 8: labels in units of the paper's batch, at least 1.

    Note: the paper adds 100 labels a round to the first 100, so that its t-th round has 100 t.
    Where labels come in other portions the round's number would end the curriculum too soon; it
    counts only where the number of labels is not known.
    """
    if pool.labelled_count is None:
        return float(pool.round)
    return max(1.0, pool.labelled_count / alpha_labels)


def grace(
    pool: Pool,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    alpha_init: Annotated[float, "weight of easiness at first"] = 1.0,
    alpha_step: Annotated[float, "what it loses per batch of the paper"] = 0.1,
    alpha_labels: Annotated[int, "labels in a batch of the paper"] = 100,
    exact_limit: ExactLimit = EXACT_LIMIT,
    reference_size: ReferenceSize = REFERENCE_SIZE,
    device: Device = None,
) -> Scores:
    """Score by s = alpha_t s_e + s_i s_r (GRACE Eq. 7), each criterion scaled to [0, 1].

    The components hold the scaled criteria.
    """
    if alpha_init < 0 or alpha_step < 0 or alpha_labels < 1:
        raise ValueError("alpha_init and alpha_step must be at least 0, alpha_labels at least 1.")
    components, notes = worth(pool, rng, candidates, exact_limit, reference_size, device)
    easy = rescale(easiness(pool), candidates)
    stage = curriculum_stage(pool, alpha_labels)
    alpha = curriculum_weight(stage, alpha_init, alpha_step)
    scores = alpha * easy + components["informativeness"] * components["representativeness"]
    components["easiness"] = easy
    return Scores(scores, components, {**notes, "alpha": alpha, "stage": stage})


def worth(
    pool: Pool,
    rng: np.random.Generator,
    candidates: Candidates,
    exact_limit: int,
    reference_size: int,
    device: str | None,
) -> tuple[dict[str, FloatArray], dict[str, str | float | int]]:
    """Return the scaled informativeness and representativeness, and how the latter was found."""
    if reference_size < 2:
        raise ValueError("reference_size must be at least 2.")
    distances = representativeness(
        pool,
        candidates,
        rng,
        exact_limit=exact_limit,
        reference_size=reference_size,
        device=device,
    )
    components: dict[str, FloatArray] = {
        "informativeness": rescale(informativeness(pool, device), candidates),
        "representativeness": rescale(distances.sums, candidates),
    }
    if len(candidates.rows) <= exact_limit:
        return components, {"representativeness": "exact"}
    return _with_errors(components, distances, candidates, reference_size)


def _with_errors(
    components: dict[str, FloatArray],
    distances: DistanceSums,
    candidates: Candidates,
    reference_size: int,
) -> tuple[dict[str, FloatArray], dict[str, str | float | int]]:
    """Add the standard errors, in the units of the scaled representativeness."""
    sums = distances.sums[candidates.rows]
    if components["representativeness"][candidates.rows].any():
        errors = distances.standard_errors / float(np.ptp(sums))
    else:  # all alike, which scaling has made 0
        errors = np.zeros_like(distances.standard_errors)
    components["representativeness_standard_error"] = errors
    return components, {
        "representativeness": "estimated",
        "reference_size": min(reference_size, len(sums)),
        "mean_standard_error": float(errors[candidates.rows].mean()),
        "largest_standard_error": float(errors[candidates.rows].max()),
    }


def grace_ir(
    pool: Pool,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    exact_limit: ExactLimit = EXACT_LIMIT,
    reference_size: ReferenceSize = REFERENCE_SIZE,
    device: Device = None,
) -> Scores:
    """Score by informativeness times representativeness, each scaled to [0, 1]."""
    components, notes = worth(pool, rng, candidates, exact_limit, reference_size, device)
    return Scores(
        components["informativeness"] * components["representativeness"], components, notes
    )


def grace_i(
    pool: Pool, candidates: Candidates, rng: np.random.Generator, *, device: Device = None
) -> Scores:
    """Score by s_i, the length of the gradients (GRACE Eq. 4), scaled to [0, 1]."""
    scores = rescale(informativeness(pool, device), candidates)
    return Scores(scores, {"informativeness": scores})


GRACE = Strategy(
    name="grace",
    score=grace,
    needs=frozenset({Need.GRADIENTS}),
    paper="Li et al., ACM MM 2024",
    summary="Informative, representative and, with few labels, easy tasks first.",
)

GRACE_I = Strategy(
    name="grace_i",
    score=grace_i,
    needs=frozenset({Need.GRADIENTS}),
    paper="Li et al., ACM MM 2024 (ablation)",
    summary="GRACE's informativeness alone: longest gradients first.",
)

GRACE_IR = Strategy(
    name="grace_ir",
    score=grace_ir,
    needs=frozenset({Need.GRADIENTS}),
    paper="Li et al., ACM MM 2024 (ablation)",
    summary="GRACE without easiness: informative and representative tasks first.",
)
