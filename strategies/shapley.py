"""Each modality's share in a prediction: exact Shapley values over all coalitions (BMMAL 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt

from strategies.pool import Coalition, FloatArray
from strategies.rows import as_tensor

Matrix = npt.NDArray[np.float64]


def all_coalitions(modalities: Sequence[str]) -> list[Coalition]:
    """Return the 2^M subsets of the modalities, smallest first, the empty one included."""
    return [
        frozenset(subset)
        for size in range(len(modalities) + 1)
        for subset in combinations(modalities, size)
    ]


def shapley_values(
    coalitions: Mapping[Coalition, FloatArray], modalities: Sequence[str] | None = None
) -> Matrix:
    """Return the Shapley value phi of each modality for each task (BMMAL Eq. 10).

    Args:
        coalitions: subset of modality names -> (N,) outcome V; all 2^M subsets.
        modalities: names in column order; by default that of the singletons in the mapping.

    Returns:
        (N, M) values. Their sum over modalities is V(all) - V(none).
    """
    if modalities is None:
        modalities = [next(iter(key)) for key in coalitions if len(key) == 1]
    missing = [set(key) for key in all_coalitions(modalities) if key not in coalitions]
    if missing or not modalities:
        raise ValueError(f"coalitions lacks {missing or 'every modality'}; it needs all subsets.")
    count = len(modalities)
    outcome = {key: as_tensor(value).double().cpu().numpy() for key, value in coalitions.items()}
    values = np.zeros((len(outcome[frozenset()]), count))
    for column, modality in enumerate(modalities):
        for subset in all_coalitions([name for name in modalities if name != modality]):
            weight = factorial(len(subset)) * factorial(count - len(subset) - 1) / factorial(count)
            values[:, column] += weight * (outcome[subset | {modality}] - outcome[subset])
    return values


def contributions(
    coalitions: Mapping[Coalition, FloatArray], modalities: Sequence[str] | None = None
) -> Matrix:
    """Return each modality's contribution Phi_m = |phi_m| / sum |phi| (BMMAL Eq. 12).

    Args:
        coalitions: as for `shapley_values`.
        modalities: names in column order; by default that of the singletons in the mapping.

    Returns:
        (N, M), rows sum to 1. Where no modality moves the outcome, each contributes 1/M.
    """
    magnitude = np.abs(shapley_values(coalitions, modalities))
    total = magnitude.sum(axis=1, keepdims=True)
    even = np.full_like(magnitude, 1 / magnitude.shape[1])
    share: Matrix = np.divide(magnitude, total, out=even, where=total > 0)
    return share


def dominance(contributions: Matrix) -> npt.NDArray[np.float64]:
    """Return rho = sum_m (max Phi - Phi_m): (N,), 0 when balanced (BMMAL Eq. 5)."""
    rho: npt.NDArray[np.float64] = _gap(contributions).sum(axis=1)
    return rho


def modulation_weights(contributions: Matrix) -> Matrix:
    """Return w_m = 1 - (max Phi - Phi_m): (N, M), the strongest modality 1 (BMMAL Eq. 14).

    Note: the paper states two modalities; for more this keeps their order (Guideline 3).
    """
    return 1 - _gap(contributions)


def _gap(contributions: Matrix) -> Matrix:
    values = np.asarray(contributions, dtype=np.float64)
    gap: Matrix = values.max(axis=1, keepdims=True) - values
    return gap
