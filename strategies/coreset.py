"""CoreSet: cover the features by k-centre greedy (Sener and Savarese, ICLR 2018)."""

from __future__ import annotations

import numpy as np
import torch

from strategies.features import (
    as_embeddings,
    distances_to_labelled,
    labelled_features,
    pool_features,
)
from strategies.gradients import OuterProducts
from strategies.kcentre import k_centre_greedy
from strategies.options import Device
from strategies.pool import FloatArray, Need, Pool, Selection
from strategies.ranking import Candidates, batch_first
from strategies.strategy import Strategy


def cover(
    points: OuterProducts,
    nearest: torch.Tensor,
    n: int,
    candidates: Candidates,
    components: dict[str, FloatArray],
) -> Selection:
    """Rank by k-centre greedy: its order, then the others by falling distance to a centre.

    Args:
        points: N points.
        nearest: (N,) squared distances to the labelled tasks.
        n: size of the batch.
        candidates: rows to choose from.
        components: what else explains the ranking.

    Returns:
        A selection whose score is the distance to the nearest labelled or earlier chosen task.
    """
    eligible = torch.from_numpy(candidates.weights > 0).to(points.device)
    centres = k_centre_greedy(points, n, nearest, eligible)
    distance = np.sqrt(centres.squared_distances)
    components = {**components, "distance": distance}
    return batch_first(centres.indices, distance, distance, candidates, components)


def build_batch(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    device: Device = None,
) -> Selection:
    """Rank by k-centre greedy on the concatenated features, from the labelled tasks.

    Note: with nothing labelled the first choice is the task nearest to the mean of the features;
    the published code has no answer there.
    """
    points = as_embeddings(pool_features(pool, device))
    nearest = distances_to_labelled(points, labelled_features(pool, device), candidates)
    return cover(points, nearest, n, candidates, {})


CORESET = Strategy(
    name="coreset",
    build_batch=build_batch,
    needs=frozenset({Need.FEATURES, Need.LABELLED_FEATURES}),
    paper="Sener and Savarese, ICLR 2018",
    summary="Covers the feature space: always the task farthest from all labelled ones.",
)
