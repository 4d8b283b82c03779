"""BALD: where stochastic passes disagree (Houlsby et al. 2011; Gal et al. 2017)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strategies.pool import Need, Pool, TargetKind
from strategies.questions import most_entropy, questions
from strategies.ranking import Candidates, Scores
from strategies.rows import as_tensor, chunks
from strategies.strategy import Strategy
from strategies.uncertainty import entropy

Values = npt.NDArray[np.float64]


def score(pool: Pool, candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Score by the mutual information of prediction and weights: H[mean p] - mean H[p].

    Multi-label: summed over the K yes/no questions. Regression: the variance of the predictions
    over the passes, in which the mutual information of a Gaussian output is monotone.

    Several questions: the mean, information as a share of the largest possible entropy, variances
    as shares of the pool's largest.
    """
    assert pool.mc_probabilities is not None
    components = disagreement(pool)
    passes = len(pool.mc_probabilities)
    return Scores(next(iter(components.values())), components, {"passes": passes})


def disagreement(pool: Pool) -> dict[str, Values]:
    """Return how the passes differ: mutual information (N,) and its parts, or the variance."""
    parts = questions(pool)
    if len(parts) == 1:
        return _of_question(parts[0])
    found = [_of_question(one) for one in parts]
    numbers = parts[0].target is TargetKind.REGRESSION
    largest = [
        (float(one["variance"].max()) or 1.0) if numbers else most_entropy(part)
        for part, one in zip(parts, found, strict=True)
    ]
    return {
        name: np.mean([one[name] / most for one, most in zip(found, largest, strict=True)], axis=0)
        for name in found[0]
    }


def _of_question(pool: Pool) -> dict[str, Values]:
    assert pool.mc_probabilities is not None
    passes = as_tensor(pool.mc_probabilities)
    width = 4 * passes.shape[0] * passes.shape[2]
    parts = [
        _disagreement(passes[:, part].double().cpu().numpy(), pool.target)
        for part in chunks(pool.size, width)
    ]
    names = ["mutual_information", "predictive_entropy", "expected_entropy"]
    if pool.target is TargetKind.REGRESSION:
        names = ["variance"]
    return dict(zip(names, np.concatenate(parts, axis=1), strict=True))


def _disagreement(p: Values, target: TargetKind) -> Values:
    """Map (T, r, K) passes to the components' rows: (1, r) or (3, r)."""
    if target is TargetKind.REGRESSION:
        variance: Values = p.var(axis=0).mean(axis=-1)[None]
        return variance
    predictive = entropy(p.mean(axis=0), target)
    expected = entropy(p, target).mean(axis=0)
    return np.stack([np.maximum(predictive - expected, 0), predictive, expected])


BALD = Strategy(
    name="bald",
    score=score,
    needs=frozenset({Need.MC_PROBABILITIES}),
    paper="Houlsby et al. 2011; Gal et al., ICML 2017",
    summary="Tasks on which stochastic passes (dropout on) disagree.",
)
