"""BMMAL: balanced multimodal active learning (Shen et al., ACM MM 2023).

BADGE's embedding with each modality's block weighted by its contribution to the prediction, so
that tasks which one modality dominates have short gradients and are chosen less often.
"""

from __future__ import annotations

import numpy as np

from strategies.badge import Block, diverse, gradient_embeddings
from strategies.kmeanspp import BLOCK
from strategies.options import Device
from strategies.pool import FloatArray, Need, Pool, Selection
from strategies.ranking import Candidates
from strategies.shapley import contributions, dominance, modulation_weights
from strategies.strategy import Strategy


def build_batch(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    block: Block = BLOCK,
    device: Device = None,
) -> Selection:
    """Rank by k-means++ on modulated gradients; the score is the modulated magnitude |a||z~|.

    Note: the published code cuts a large pool into chunks and selects in each; this is global.
    """
    assert pool.coalitions is not None
    share = contributions(pool.coalitions, pool.modalities)
    embeddings = gradient_embeddings(pool, modulation_weights(share), device)
    components: dict[str, FloatArray] = {
        f"contribution:{name}": share[:, column] for column, name in enumerate(pool.modalities)
    }
    components["dominance"] = dominance(share)
    return diverse(embeddings, n, rng, candidates, components, block)


BMMAL = Strategy(
    name="bmmal",
    build_batch=build_batch,
    needs=frozenset({Need.PROBABILITIES, Need.FEATURES, Need.COALITIONS}),
    paper="Shen et al., ACM MM 2023",
    summary="BADGE that avoids tasks which one modality dominates.",
)
