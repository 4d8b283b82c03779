"""BADGE: k-means++ on hallucinated last-layer gradients (Ash et al., ICLR 2020).

The gradient embedding of task i is a_i (x) z_i with a_i = p_i - onehot(argmax p_i) and z_i the
concatenated features: uncertain tasks have long gradients, similar tasks parallel ones.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch

from strategies.factors import Dense, PseudoLabelResidual, WeightedBlocks
from strategies.features import pool_features, side_by_side
from strategies.gradients import OuterProducts
from strategies.kmeanspp import BLOCK, seed
from strategies.options import Device
from strategies.pool import FloatArray, Need, Pool, Selection, TargetKind
from strategies.questions import questions
from strategies.ranking import Candidates, batch_first
from strategies.strategy import Strategy
from strategies.uncertainty import probabilities

Block = Annotated[int, "candidates drawn per pass; changes the speed, not the law"]


def gradient_embeddings(
    pool: Pool, weights: npt.NDArray[np.float64] | None = None, device: str | None = None
) -> OuterProducts:
    """Return the embeddings a_i (x) z_i, or a_i (x) [w_i1 z_i1 ; ... ; w_iM z_iM] (BMMAL Eq. 15).

    Args:
        pool: with probabilities (N, K) and features (N, D_m).
        weights: (N, M) w; None: the input of the last layer as it is (BADGE).
        device: where the factors are kept and the products computed; None: where they are.

    Note: BMMAL Eq. 3 writes logits f_i; its code and BADGE take probabilities p_i, as here. Of Q
    questions the embedding is [a_1 (x) z ; ... ; a_Q (x) z], which is [a_1 ; ... ; a_Q] (x) z.
    """
    residuals = [
        PseudoLabelResidual(
            Dense(probabilities(one), device), multilabel=one.target is TargetKind.MULTILABEL
        )
        for one in questions(pool)
    ]
    left = residuals[0] if len(residuals) == 1 else WeightedBlocks(residuals)
    if weights is None:
        return OuterProducts(left, pool_features(pool, device))
    assert pool.features is not None
    blocks = side_by_side(pool.features, pool.modalities, device).blocks
    return OuterProducts(left, WeightedBlocks(blocks, torch.from_numpy(weights)))


def diverse(
    embeddings: OuterProducts,
    n: int,
    rng: np.random.Generator,
    candidates: Candidates,
    components: dict[str, FloatArray],
    block: int,
) -> Selection:
    """Rank by k-means++: its order, then the others by falling D^2 to the chosen."""
    magnitude = embeddings.squared_norms.sqrt().cpu().numpy()
    seeding = seed(embeddings, n, rng, weights=candidates.weights, block=block)
    return batch_first(
        seeding.indices,
        seeding.squared_distances,
        magnitude,
        candidates,
        {**components, "gradient_magnitude": magnitude},
    )


def build_batch(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    block: Block = BLOCK,
    device: Device = None,
) -> Selection:
    """Rank by k-means++ on the gradient embeddings; the score is the gradient's magnitude."""
    return diverse(gradient_embeddings(pool, None, device), n, rng, candidates, {}, block)


BADGE = Strategy(
    name="badge",
    build_batch=build_batch,
    needs=frozenset({Need.PROBABILITIES, Need.FEATURES}),
    paper="Ash et al., ICLR 2020",
    summary="Diverse and uncertain: k-means++ on last-layer gradients.",
)
