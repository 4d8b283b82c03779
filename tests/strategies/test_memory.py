"""Pools on disk that are larger than the memory that a ranking may use."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SIZE, WIDTH = 96_000, 1024
FACTORS = SIZE * WIDTH * 2
ALLOWED = 96 * 2**20

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the limit on private memory is a Linux one"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("factors")
    rng = np.random.default_rng(0)
    # One block of random numbers again and again, each time scaled otherwise, is quickly made.
    block = np.abs(rng.standard_normal((8000, WIDTH), dtype=np.float32)).clip(0, 3) / 3.5
    for name, width in (("wide", WIDTH), ("narrow", 8), ("probabilities", 8)):
        array = np.lib.format.open_memmap(
            path / f"{name}.npy", "w+", np.float16, shape=(SIZE, width)
        )
        for number, start in enumerate(range(0, SIZE, 8000)):
            part = block[:, :width] * (1 + number / 100)
            if name == "probabilities":
                part = part / part.sum(axis=1, keepdims=True)
            array[start : start + 8000] = part
        array.flush()
    return path


def test_ranks_maps_larger_than_its_memory(folder):
    """Nor does a copy of the factors fit, which shows that the limit is one."""
    assert FACTORS > 1.8 * ALLOWED
    names = ["entropy", "bald", "deepfool", "badge", "bmmal", "coreset", "grace"]
    names += ["max_herding", "dbal"]
    program = [sys.executable, "-m", "tests.strategies.rank_on_disk"]
    command = [*program, str(folder), str(ALLOWED), *names]
    # By default glibc keeps freed blocks of up to 32 MB in its heap once it has seen one, and
    # holes there count as used. With a fixed threshold they go back, and what is used counts.
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=500)
    assert done.stdout.splitlines() == [*names, "the limit bites"], done.stderr[-2000:]
