"""torch's optimizers, without its compiler: they load it only to say that nothing is compiled.

Loading it takes a process five seconds (`python -m benchmarks.starting`).
"""

from __future__ import annotations

import inspect
from typing import Any

import torch


def eager(kind: type[torch.optim.Optimizer]) -> Any:
    """Return a kind of optimizer that does the same steps and never asks the compiler."""
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad")}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**plain, "step": step})
