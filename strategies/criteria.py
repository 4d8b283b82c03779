"""GRACE's three criteria, from the factors of gradients (Li et al., ACM MM 2024, section 3.2).

Per modality k the network has a last layer W_k that its own head and the fusion share. With its
input h_k, the gradients of the unimodal loss and of the multimodal loss are d_k (x) h_k and
d_mk (x) h_k, so every criterion follows from the factors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from strategies.distance_sums import DistanceSums, estimated_sums, exact_sums
from strategies.factors import Dense, Rows, squared_norms
from strategies.gradients import OuterProducts
from strategies.pool import LayerGradients, Pool
from strategies.ranking import Candidates, Values
from strategies.rows import chunks

EXACT_LIMIT = 5_000
REFERENCE_SIZE = 2_000
# A spread below this share of the values is rounding: the values are constant.
CONSTANT = 1e-7


class GradientSum:
    """The factor d_k + d_mk of G_k = (d_k + d_mk) (x) h_k, added chunk by chunk."""

    def __init__(self, unimodal: Dense, multimodal: Dense) -> None:
        self._parts = (unimodal, multimodal)
        self.shape, self.device = unimodal.shape, unimodal.device
        self.dtype = torch.promote_types(unimodal.dtype, multimodal.dtype)
        self.copied = 3 * unimodal.shape[1]

    def rows(self, index: Rows, dtype: torch.dtype) -> torch.Tensor:
        return self._parts[0].rows(index, dtype) + self._parts[1].rows(index, dtype)

    def times(self, index: Rows, other: torch.Tensor) -> torch.Tensor:
        return self.rows(index, other.dtype) @ other.T

    def squared_norms(self, index: Rows) -> torch.Tensor:
        return squared_norms(self.rows(index, torch.float64))


def layer_embeddings(layer: LayerGradients, device: str | None = None) -> OuterProducts:
    """Return G_k = (d_k + d_mk) (x) h_k for all N tasks, as factors."""
    total = GradientSum(Dense(layer.unimodal, device), Dense(layer.multimodal, device))
    return OuterProducts(total, Dense(layer.inputs, device))


def informativeness(pool: Pool, device: str | None = None) -> Values:
    """Return s_i = sum_k |d_k + d_mk| |h_k| over the present modalities: (N,) (GRACE Eq. 4)."""
    return _sum_over_modalities(
        pool, lambda layer: layer_embeddings(layer, device).squared_norms.sqrt().cpu().numpy()
    )


def easiness(pool: Pool) -> Values:
    """Return s_e = sum_k cos(d_k, d_mk) over the present modalities: (N,) (GRACE Eq. 6).

    It equals the cosine of the full gradients, as both share h_k; with a zero gradient it is 0.
    """
    return _sum_over_modalities(pool, _cosines)


def representativeness(
    pool: Pool,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    exact_limit: int = EXACT_LIMIT,
    reference_size: int = REFERENCE_SIZE,
    device: str | None = None,
) -> DistanceSums:
    """Return s_r = sum_k sum_q |G_k(p) - G_k(q)| over the candidates: (N,) (GRACE Eq. 5).

    Only pairs of candidates that both have modality k count for k. Exact up to `exact_limit`
    candidates, else estimated from `reference_size` of them per modality; the standard error
    adds the modalities' errors as if they were perfectly correlated, an upper bound.
    """
    sums, errors = np.zeros(pool.size), np.zeros(pool.size)
    for column, modality in enumerate(pool.modalities):
        rows = candidates.rows[_present(pool, column)[candidates.rows]]
        if len(rows) < 2:
            continue
        embeddings = layer_embeddings(_layers(pool)[modality], device)
        exact = len(candidates.rows) <= exact_limit
        part = (
            exact_sums(embeddings, rows)
            if exact
            else estimated_sums(embeddings, rows, reference_size, rng)
        )
        sums[rows] += part.sums
        errors[rows] += part.standard_errors
    return DistanceSums(sums, errors)


def rescale(values: Values, candidates: Candidates) -> Values:
    """Min-max scale to [0, 1] over the candidates; a constant becomes 0 (GRACE 3.2)."""
    low, high = values[candidates.rows].min(), values[candidates.rows].max()
    if high - low <= CONSTANT * max(abs(low), abs(high)):
        return np.zeros_like(values)
    scaled: Values = (values - low) / (high - low)
    return scaled


def _layers(pool: Pool) -> dict[str, LayerGradients]:
    assert pool.gradients is not None
    return dict(pool.gradients)


def _present(pool: Pool, column: int) -> npt.NDArray[np.bool_]:
    if pool.present is None:
        return np.ones(pool.size, dtype=bool)
    return np.asarray(pool.present[:, column], dtype=bool)


def _sum_over_modalities(pool: Pool, term: Callable[[LayerGradients], Values]) -> Values:
    total = np.zeros(pool.size)
    for column, modality in enumerate(pool.modalities):
        total += np.where(_present(pool, column), term(_layers(pool)[modality]), 0.0)
    return total


def _cosines(layer: LayerGradients) -> Values:
    inputs, own, shared = Dense(layer.inputs), Dense(layer.unimodal), Dense(layer.multimodal)
    cosines = np.zeros(inputs.shape[0])
    for part in chunks(len(cosines), 2 * (inputs.shape[1] + own.shape[1] + shared.shape[1])):
        one, other = own.rows(part, torch.float64), shared.rows(part, torch.float64)
        lengths = (squared_norms(one) * squared_norms(other)).sqrt()
        nonzero = (lengths > 0) & (inputs.squared_norms(part) > 0)
        values = torch.where(nonzero, (one * other).sum(dim=1) / lengths, 0.0)
        cosines[part] = values.clamp(-1, 1).cpu().numpy()
    return cosines
