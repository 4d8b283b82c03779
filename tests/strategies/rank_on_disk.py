"""Rank a pool of memory-mapped arrays under a limit on private memory (run by test_memory)."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import scipy.linalg.blas
import scipy.sparse
import scipy.special
import sklearn.cluster
import torch

from strategies import STRATEGIES, LayerGradients, LinearHead, Pool
from tests.strategies.pools import every_subset

FEW = {"grace": {"reference_size": 100}, "max_herding": {"references": 64}}
LOADED = (scipy.sparse, scipy.special, sklearn.cluster)
"""What strategies load at their first call; their code is not what the limit is about."""


def mapped_pool(folder: Path) -> Pool:
    """Read the arrays of the folder as maps."""

    def array(name: str) -> np.ndarray:
        return np.load(folder / f"{name}.npy", mmap_mode="r")

    wide, narrow, p = array("wide"), array("narrow"), array("probabilities")
    size = len(wide)
    value = np.linspace(0, 1, size)
    return Pool(
        size,
        ("wide", "narrow"),
        probabilities=p,
        features={"wide": wide, "narrow": narrow},
        coalitions={key: value * len(key) for key in every_subset(["wide", "narrow"])},
        gradients={
            "wide": LayerGradients(wide, narrow, narrow),
            "narrow": LayerGradients(narrow, narrow, narrow),
        },
        mc_probabilities=wide.reshape(4, size, -1),
        linear_head=LinearHead(np.eye(wide.shape[1], 8), wide),
    )


def private_bytes() -> int:
    """Private memory of this process in bytes, without maps of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmData")


def few(pool: Pool) -> Pool:
    """A pool of four tasks in memory, for a first call that loads what is loaded once."""
    return Pool(
        4,
        pool.modalities,
        probabilities=np.array(pool.probabilities[:4]),
        features={key: np.array(z[:4]) for key, z in pool.features.items()},
        coalitions={key: v[:4] for key, v in pool.coalitions.items()},
        gradients={
            key: LayerGradients(g.inputs[:4], g.unimodal[:4], g.multimodal[:4])
            for key, g in pool.gradients.items()
        },
        mc_probabilities=np.full((2, 4, 3), 1 / 3),
        linear_head=LinearHead(np.eye(3), np.eye(4, 3)),
    )


def main(folder: str, allowed: str, *names: str) -> None:
    """Rank by each strategy under the limit; print a line for each that succeeds."""
    torch.set_num_threads(2)
    pool = mapped_pool(Path(folder))
    # What each library keeps to multiply with, of 32 MB a thread, is there from its first product.
    torch.ones(512, 512) @ torch.ones(512, 512)
    for kind in (np.float32, np.float64):
        square = np.ones((512, 512), kind)
        scipy.linalg.blas.get_blas_funcs("gemm", (square,))(1, square, square @ square)
    for name in names:
        STRATEGIES[name](few(pool), 2, np.random.default_rng(0))
    limit = private_bytes() + int(allowed)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    for name in names:
        options = FEW.get(name, {})
        selection = STRATEGIES[name](pool, 32, np.random.default_rng(0), **options)
        assert np.array_equal(np.sort(selection.order), np.arange(pool.size))
        print(name, flush=True)
    try:
        np.array(pool.features["wide"])
    except MemoryError:
        print("the limit bites")


if __name__ == "__main__":
    main(*sys.argv[1:])
