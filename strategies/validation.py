"""Checks at the boundary: each needed array is there, fits, and holds numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from strategies.errors import InvalidPool
from strategies.pool import HeldOut, Need, Pool, TargetKind
from strategies.questions import questions
from strategies.rows import as_tensor
from strategies.shapley import all_coalitions

# Half-precision probabilities may leave [0, 1] by this much.
PROBABILITY_SLACK = 1e-3
# What is read where it is there: at a cold start nothing is labelled.
OPTIONAL = frozenset({Need.LABELLED_FEATURES, Need.HELD_OUT})
OF_A_QUESTION = frozenset(
    {Need.PROBABILITIES, Need.MC_PROBABILITIES, Need.LINEAR_HEAD, Need.HELD_OUT}
)


def check_pool(pool: Pool, needs: frozenset[Need], strategy: str) -> None:
    """Raise InvalidPool, naming the array, unless the pool holds what the strategy needs."""
    if len(set(pool.modalities)) != len(pool.modalities):
        raise InvalidPool(f"pool.modalities must differ: {pool.modalities}")
    if pool.present is not None and pool.present.shape != (pool.size, len(pool.modalities)):
        raise InvalidPool(
            f"pool.present has shape {pool.present.shape}; it needs "
            f"({pool.size}, {len(pool.modalities)})."
        )
    _check_needs(pool, needs, strategy)
    if pool.further:
        for one in questions(pool):
            _check_needs(one, needs & OF_A_QUESTION, strategy)


def _check_needs(pool: Pool, needs: frozenset[Need], strategy: str) -> None:
    for need in sorted(needs):
        value = getattr(pool, need.value)
        if value is None:
            if need in OPTIONAL:
                continue
            raise InvalidPool(f"Strategy {strategy!r} needs pool.{need.value}, which is missing.")
        _CHECKS[need](pool, value)


def _check_array(name: str, array: Any, shape: tuple[int | None, ...]) -> tuple[float, float]:
    """Check shape (None: any length) and finiteness; return the smallest and largest value."""
    tensor = as_tensor(array)
    fits = tensor.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise InvalidPool(f"{name} has shape {tuple(tensor.shape)}; it needs ({wanted}).")
    if tensor.numel() == 0:
        return 0.0, 0.0
    low, high = torch.aminmax(tensor)
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        raise InvalidPool(f"{name} holds NaN or infinite values.")
    return float(low), float(high)


def _check_probabilities(name: str, pool: Pool, array: Any, shape: tuple[int | None, ...]) -> None:
    low, high = _check_array(name, array, shape)
    if as_tensor(array).shape[-1] == 0:
        raise InvalidPool(f"{name} has no class.")
    if pool.target is TargetKind.REGRESSION:
        return
    if low < -PROBABILITY_SLACK or high > 1 + PROBABILITY_SLACK:
        raise InvalidPool(
            f"{name} holds values outside [0, 1] ({low:g} to {high:g}): are these logits?"
        )


def _probabilities(pool: Pool, value: Any) -> None:
    _check_probabilities("pool.probabilities", pool, value, (pool.size, None))


def _mc_probabilities(pool: Pool, value: Any) -> None:
    _check_probabilities("pool.mc_probabilities", pool, value, (None, pool.size, None))
    if as_tensor(value).shape[0] == 0:
        raise InvalidPool("pool.mc_probabilities holds no stochastic pass.")


def _check_modalities(name: str, pool: Pool, value: Mapping[str, Any]) -> None:
    if not pool.modalities:
        raise InvalidPool("pool.modalities is empty; it needs at least one modality.")
    if set(value) != set(pool.modalities):
        raise InvalidPool(f"{name} has {sorted(value)}; it needs {sorted(pool.modalities)}.")


def _features(pool: Pool, value: Any) -> None:
    _check_modalities("pool.features", pool, value)
    for modality, array in value.items():
        _check_array(f"pool.features[{modality!r}]", array, (pool.size, None))
    if pool.fused_features is not None:
        _check_array("pool.fused_features", pool.fused_features, (pool.size, None))


def _labelled_features(pool: Pool, value: Any) -> None:
    _check_modalities("pool.labelled_features", pool, value)
    count = len(next(iter(value.values())))
    for modality, array in value.items():
        width = None if pool.features is None else pool.features[modality].shape[1]
        _check_array(f"pool.labelled_features[{modality!r}]", array, (count, width))
    if pool.fused_features is not None and pool.labelled_fused_features is not None:
        fused = pool.labelled_fused_features
        _check_array("pool.labelled_fused_features", fused, (None, pool.fused_features.shape[1]))


def _held_out(pool: Pool, value: HeldOut) -> None:
    width = None if pool.probabilities is None else pool.probabilities.shape[1]
    shape = (len(value.truth), width)
    _check_probabilities("pool.held_out.probabilities", pool, value.probabilities, shape)


def _coalitions(pool: Pool, value: Any) -> None:
    if not pool.modalities:
        raise InvalidPool("pool.modalities is empty; it needs at least one modality.")
    for coalition in all_coalitions(pool.modalities):
        name = f"pool.coalitions[{sorted(coalition)}]"
        if coalition not in value:
            raise InvalidPool(f"{name} is missing; all 2^M subsets are needed.")
        _check_array(name, value[coalition], (pool.size,))


def _gradients(pool: Pool, value: Any) -> None:
    _check_modalities("pool.gradients", pool, value)
    for modality, layer in value.items():
        name = f"pool.gradients[{modality!r}]"
        _check_array(f"{name}.inputs", layer.inputs, (pool.size, None))
        _check_array(f"{name}.unimodal", layer.unimodal, (pool.size, None))
        _check_array(f"{name}.multimodal", layer.multimodal, tuple(layer.unimodal.shape))


def _linear_head(pool: Pool, value: Any) -> None:
    _check_array("pool.linear_head.weight", value.weight, (None, None))
    _check_array("pool.linear_head.logits", value.logits, (pool.size, len(value.weight)))


_CHECKS: dict[Need, Callable[[Pool, Any], None]] = {
    Need.PROBABILITIES: _probabilities,
    Need.FEATURES: _features,
    Need.COALITIONS: _coalitions,
    Need.GRADIENTS: _gradients,
    Need.MC_PROBABILITIES: _mc_probabilities,
    Need.LABELLED_FEATURES: _labelled_features,
    Need.HELD_OUT: _held_out,
    Need.LINEAR_HEAD: _linear_head,
}
