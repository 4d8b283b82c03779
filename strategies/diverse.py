"""A batch that is spread over the features, weighed by any score."""

from __future__ import annotations

import numpy as np
import torch

from strategies.coverage import REFERENCES, Coverage, cover
from strategies.factors import Factor
from strategies.features import labelled_features, pool_features, unit_length
from strategies.options import Option
from strategies.pool import Need, Pool, Selection
from strategies.ranking import Candidates, Scores, Values, batch_first

# UHerding's radius where nothing, or one task, is labelled.
RADIUS = 1.0
# Labelled tasks closer than this are duplicates, which say nothing about a radius.
DUPLICATE = 1e-3

# Labelled tasks whose distances are measured at once.
TOGETHER = 1024

DIVERSE = Option(False, bool, "spread the batch over the features, weighed by the score")
DIVERSE_NEEDS = frozenset({Need.FEATURES, Need.LABELLED_FEATURES})


def diverse_batch(
    pool: Pool, scores: Scores, n: int, candidates: Candidates, rng: np.random.Generator
) -> Selection:
    """Choose the batch by coverage of the pool weighed by the scores, the others by score.

    The weight is the score scaled to [0, 1] over the candidates. So near-duplicates of a task that
    is chosen add nothing, however high their score (UHerding with another measure).
    """
    values = scores.values[candidates.rows]
    low, high = values.min(), values.max()
    weights = np.zeros(pool.size)
    weights[candidates.rows] = (values - low) / (high - low) if high > low else 1.0
    covered, radius = spread(pool, n, candidates, rng, weights=weights, radius=None)
    notes = {**scores.notes, "batch": "diverse", "radius": radius}
    return batch_first(
        covered.indices, scores.values, scores.values, candidates, scores.components, notes
    )


def spread(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    weights: Values | None,
    radius: float | None,
    references: int = REFERENCES,
) -> tuple[Coverage, float]:
    """Choose n candidates that cover the pool by weight; return the choice and the radius.

    Args:
        pool: with features; each modality's are scaled to length 1, and the whole likewise.
        n: size of the batch.
        candidates: rows to choose from; those labelled cover already.
        rng: draws the references of a large pool.
        weights: (N,) what each task counts; None: all the same.
        radius: of the kernel; None: adapted to the labelled tasks.
        references: number of tasks that coverage is measured on.
    """
    if references < 1 or (radius is not None and radius <= 0):
        raise ValueError("radius and references must be larger than 0.")
    points, labelled = unit_length(pool_features(pool), whole=True), labelled_features(pool)
    centres = None if labelled is None else unit_length(labelled, whole=True)
    if radius is None:
        radius = adapted_radius(points, centres, candidates)
    covered = cover(
        points,
        n,
        rng,
        radius=radius,
        eligible=candidates.rows,
        centres=centres,
        own_centres=candidates.labelled,
        weights=weights,
        limit=references,
    )
    return covered, radius


def adapted_radius(points: Factor, labelled: Factor | None, candidates: Candidates) -> float:
    """Return the smallest distance between two labelled tasks, 1 where there are not two.

    Note: duplicates are left out; they would make the radius 0 at once.
    """
    parts = [points.rows(torch.from_numpy(candidates.labelled), torch.float64).cpu()]
    if labelled is not None:
        parts.append(labelled.rows(slice(None), torch.float64).cpu())
    known, smallest = torch.cat(parts), torch.inf
    for start in range(0, len(known), TOGETHER):
        distances = torch.cdist(known[start : start + TOGETHER], known[start:])
        distances[distances <= DUPLICATE] = torch.inf
        smallest = min(smallest, float(distances.min()))
    return smallest if smallest < torch.inf else RADIUS
