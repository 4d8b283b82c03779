"""Made pools: in memory, as factors, on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from strategies import Pool
from strategies.shapley import all_coalitions, contributions, modulation_weights


def random() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(0)


def make_pool(size: int, classes: int, widths: dict[str, int]) -> Pool:
    """Draw a pool whose tasks form classes, as features of a trained network do."""
    rng = random()
    group = rng.integers(classes, size=size)
    features = {}
    for name, width in widths.items():
        values = rng.standard_normal((size, width), dtype=np.float32)
        values += rng.standard_normal((classes, width), dtype=np.float32)[group]
        features[name] = values
    p = rng.standard_normal((size, classes), dtype=np.float32)
    p[np.arange(size), group] += 4
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    coalitions = {key: rng.random(size) for key in all_coalitions(tuple(widths))}
    return Pool(size, tuple(widths), probabilities=p, features=features, coalitions=coalitions)


def factors_of(pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, K) p - onehot and the modulated features (N, D), written out."""
    left = pool.probabilities.copy()
    left[np.arange(pool.size), left.argmax(axis=1)] -= 1
    weights = modulation_weights(contributions(pool.coalitions, pool.modalities))
    parts = [
        pool.features[name] * weights[:, [column]].astype(np.float32)
        for column, name in enumerate(pool.modalities)
    ]
    return left, np.hstack(parts)


def mapped_pool(folder: Path, size: int, classes: int, width: int) -> Pool:
    """Write a pool's factors to disk, 10,000 tasks at a time, and map them."""
    z = np.lib.format.open_memmap(folder / "z.npy", "w+", np.float16, (size, width))
    p = np.lib.format.open_memmap(folder / "p.npy", "w+", np.float16, (size, classes))
    rng = random()
    for start in range(0, size, 10_000):
        count = min(10_000, size - start)
        z[start : start + count] = rng.standard_normal((count, width), dtype=np.float32)
        logits = 2 * rng.standard_normal((count, classes), dtype=np.float32)
        powers = np.exp(logits)
        p[start : start + count] = powers / powers.sum(axis=1, keepdims=True)
    z.flush()
    p.flush()
    del z, p
    maps = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("z", "p"))
    features, probabilities = maps
    return Pool(size, ("z",), probabilities=probabilities, features={"z": features})
