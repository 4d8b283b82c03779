"""Frozen networks: the last few stay in memory, and all of a machine's threads share a batch."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from model import device as devices
from model.arrays import Array, Float32Array
from model.encoders.base import Module

_KEPT = 3
_loaded: OrderedDict[str, Module] = OrderedDict()
_lock = threading.Lock()


def resident(key: str, load: Callable[[], Module]) -> Module:
    """Return the network of that name, loaded when it is first asked for, on its device."""
    with _lock:
        if key not in _loaded:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # layers that a checkpoint lacks come out alike each time
                _loaded[key] = load().to(devices.resolve()).eval()
            while len(_loaded) > _KEPT:
                _loaded.popitem(last=False)
        _loaded.move_to_end(key)
        return _loaded[key]


def in_pieces(look: Callable[[Tensor], Tensor], values: Array, size: int) -> Float32Array:
    """Run a frozen network on (N, ...) values, `size` at a time, and return (N, D).

    Note: on a CPU each thread takes pieces of its own. Measured on two cores that others used, too,
    EfficientNet-Lite0 gave 61 pictures a second so, and 7 with two threads in every layer, where
    one that is not scheduled makes the other wait; on one thread alone 51.
    """
    where = devices.resolve()

    def one(start: int) -> Float32Array:
        with torch.inference_mode(), devices.mixed_precision(where, where.type == "cuda"):
            found = look(torch.from_numpy(values[start : start + size]).to(where))
        return found.float().cpu().numpy()

    starts = range(0, len(values), size)
    workers = min(len(starts), torch.get_num_threads()) if where.type == "cpu" else 1
    if workers == 1:
        return np.concatenate([one(start) for start in starts])
    return np.concatenate(list(_team(torch.get_num_threads()).map(one, starts)))


@lru_cache(maxsize=1)
def _team(count: int) -> ThreadPoolExecutor:
    """Return the threads that all batches are seen by.

    Note: what a network needs to compute is kept by thread, so that new ones for each batch made
    it a tenth slower.
    """
    return devices.team(count)


os.register_at_fork(after_in_child=_team.cache_clear)  # threads stay behind with the parent
