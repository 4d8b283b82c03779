"""L-BFGS for many smooth convex problems of one shape at once.

Note: `torch.optim.LBFGS` would treat them as one problem, and importing `torch.optim` takes a
round's process several seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Variables (d, P, K) -> values (P,) and gradients (d, P, K) of P problems."""

_MEMORY = 10
_HALVINGS = 12
_DECREASE = 1e-4


def minimise(objective: Objective, start: Tensor, *, steps: int, tolerance: float) -> Tensor:
    """Return (d, P, K) variables that minimise each problem.

    Args:
        objective: smooth and convex, scaled so that its Hessian is near the identity.
        start: (d, P, K).
        steps: at most.
        tolerance: relative decrease of a step below which a problem counts as solved.
    """
    here, (value, gradient) = start, objective(start)
    memory: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=_MEMORY)
    for _ in range(steps):
        direction = _direction(gradient, memory)
        there, new_value, new_gradient = _search(objective, here, value, gradient, direction)
        moved, turned = there - here, new_gradient - gradient
        curvature = _dot(moved, turned)
        usable = curvature > 1e-10 * _dot(moved, moved)
        memory.append((moved, turned, torch.where(usable, 1 / curvature, 0.0)))
        solved = value - new_value <= tolerance * new_value.abs().clamp(min=1.0)
        here, value, gradient = there, new_value, new_gradient
        if bool(solved.all()):
            break
    return here


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Return (P,) products of (d, P, K)."""
    return (first * second).sum(dim=(0, 2))


def _direction(gradient: Tensor, memory: deque[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Return the quasi-Newton direction by the two-loop recursion; skipped pairs have rho 0."""
    direction, shares = -gradient, []
    for moved, turned, rho in reversed(memory):
        share = rho * _dot(moved, direction)
        direction = direction - share[:, None] * turned
        shares.append(share)
    if memory:
        moved, turned, rho = memory[-1]
        length = _dot(turned, turned).clamp(min=1e-30)
        scale = torch.where(rho > 0, _dot(moved, turned) / length, 1.0)
        direction = direction * scale[:, None]
    for (moved, turned, rho), share in zip(memory, reversed(shares), strict=True):
        direction = direction + (share - rho * _dot(turned, direction))[:, None] * moved
    return direction


def _search(
    objective: Objective, here: Tensor, value: Tensor, gradient: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Go the whole step, or half of it and so on where that does not lower the value enough."""
    slope = _dot(gradient, direction)
    direction = torch.where((slope < 0)[:, None], direction, -gradient)
    slope = torch.where(slope < 0, slope, -_dot(gradient, gradient))
    length = torch.ones_like(value)
    for _ in range(_HALVINGS):
        there = here + length[:, None] * direction
        new_value, new_gradient = objective(there)
        good = new_value <= value + _DECREASE * length * slope + 1e-6 * value.abs()
        if bool(good.all()):
            return there, new_value, new_gradient
        length = torch.where(good, length, length / 2)
    there = torch.where(good[:, None], there, here)
    return (
        there,
        torch.where(good, new_value, value),
        torch.where(good[:, None], new_gradient, gradient),
    )
