"""Which device to compute on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve(device: str | torch.device = "auto") -> torch.device:
    """Return the device; `auto` is CUDA, then Apple's MPS, then the CPU."""
    if isinstance(device, torch.device):
        return device
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def mixed_precision(where: torch.device, active: bool) -> torch.autocast:
    """Return a context that computes in bfloat16 where that is faster: on CUDA."""
    use = active and where.type == "cuda"
    return torch.autocast(where.type if use else "cpu", torch.bfloat16, enabled=use)


@contextmanager
def threads(small: bool) -> Iterator[None]:
    """Compute small networks on half of the threads, so that servers beside a training breathe.

    Note: measured on two cores that others used, too, two threads trained a small network 2.5
    times slower than one, because threads that wait for a descheduled one burn its time.
    """
    before = torch.get_num_threads()
    if small:
        torch.set_num_threads(max(1, before // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)
