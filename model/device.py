"""Which device to compute on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


def team(count: int) -> ThreadPoolExecutor:
    """Return `count` threads that compute on one thread each; the caller keeps all of its own.

    Note: else each would bring its own team, and on a busy machine teams burn most of the time
    waiting for members that are not scheduled.
    """
    before = torch.get_num_threads()
    started = threading.Barrier(count + 1)

    def alone() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # else a thread takes the setting at its first operation, later
        started.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="team")
    for _ in range(count):
        pool.submit(alone)  # each holds its thread until all have started
    started.wait()
    torch.set_num_threads(before)  # a thread's setting is also that of threads to come
    return pool
