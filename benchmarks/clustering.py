"""Clustering and covering at size, before and after in one run.

python -m benchmarks.clustering [--quick] [--json PATH] [--only typiclust|dbal|grace|gcnal|herding]

Before: scikit-learn's own seeds (typiclust, dbal), all pairs (grace), whole features (gcnal), every
gain anew at every step (herding).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from unittest.mock import patch

import numpy as np
import torch

from benchmarks._report import Row, arguments, run, timed, times_faster
from strategies import STRATEGIES, LayerGradients, Pool
from strategies import clusters as clusters_module


def random() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(0)


def points(size: int, width: int, groups: int = 100) -> np.ndarray:
    """Draw vectors that form groups."""
    rng = random()
    centres = rng.standard_normal((groups, width), dtype=np.float32)
    noise = rng.standard_normal((size, width), dtype=np.float32)
    return centres[rng.integers(groups, size=size)] + noise


def make_pool(size: int, width: int) -> Pool:
    """Draw a pool of one modality."""
    p = random().dirichlet(np.ones(10) / 3, size).astype(np.float32)
    features = {"z": points(size, width)}
    return Pool(size, ("z",), probabilities=p, features=features, labelled_features=None)


class _Plain:
    """k-means as it was before: scikit-learn seeds by itself."""

    def __enter__(self) -> None:
        from sklearn import cluster

        def plain(kind: type) -> Callable[..., object]:
            return lambda count, init, **options: kind(count, init="k-means++", **options)

        self._patches = [
            patch.object(cluster, name, plain(getattr(cluster, name)))
            for name in ("KMeans", "MiniBatchKMeans")
        ]
        self._patches.append(
            patch.object(clusters_module, "_seeds", lambda p, count, *_: np.arange(count))
        )
        for one in self._patches:
            one.start()

    def __exit__(self, *_: object) -> None:
        for one in self._patches:
            one.stop()


def _clustered(name: str, size: int, width: int, n: int) -> Row:
    pool, strategy = make_pool(size, width), STRATEGIES[name]
    strategy(make_pool(500, width), 20, random())  # load what loads once
    ours, _ = timed(lambda: strategy(pool, n, random()))
    with _Plain():
        before, _ = timed(lambda: strategy(pool, n, random()))
    return times_faster(
        f"{name} N={size:,} D={width} n={n:,}", ours, before, "", "before: scikit-learn's own seeds"
    )


def typiclust(quick: bool) -> list[Row]:
    """300 clusters."""
    return [_clustered("typiclust", *((1_000, 64, 60) if quick else (20_000, 512, 300)))]


def dbal(quick: bool) -> list[Row]:
    """5,000 kept tasks into 500 clusters."""
    return [_clustered("dbal", *((1_000, 64, 60) if quick else (20_000, 512, 500)))]


def grace(quick: bool) -> list[Row]:
    """All pairs against the estimate."""
    size = 1_000 if quick else 10_000
    rng = random()
    layer = LayerGradients(
        np.abs(points(size, 128)),
        rng.standard_normal((size, 64), dtype=np.float32),
        rng.standard_normal((size, 64), dtype=np.float32),
    )
    pool, strategy = Pool(size, ("z",), gradients={"z": layer}), STRATEGIES["grace"]
    ours, found = timed(lambda: strategy(pool, 100, random(), exact_limit=size - 1))
    before, exact = timed(lambda: strategy(pool, 100, random(), exact_limit=size))
    same = len(set(found.order[:100]) & set(exact.order[:100]))
    note = f"before: exact; {same} of the 100 first are the same"
    return [times_faster(f"grace N={size:,} D=64 H=128", ours, before, "", note)]


def gcnal(quick: bool) -> list[Row]:
    """Features reduced to 256 directions against all of them."""
    size, width, epochs = (1_000, 300, 5) if quick else (10_000, 2_048, 200)
    pool, strategy = make_pool(size, width), STRATEGIES["gcnal"]
    done = np.arange(200)

    def rank(to: int) -> np.ndarray:
        return strategy(pool, 100, random(), labelled=done, epochs=epochs, width=to).order[:100]

    ours, found = timed(lambda: rank(256))
    before, whole = timed(lambda: rank(width))
    same = len(set(found) & set(whole))
    note = f"before: all directions; {same} of the 100 first are the same"
    return [times_faster(f"gcnal N={size:,} D={width}", ours, before, "", note)]


def herding(quick: bool) -> list[Row]:
    """Lazy greedy against every gain anew; and a pool that is measured on a sample."""
    size, n = (500, 20) if quick else (5_000, 300)
    pool, strategy = make_pool(size, 512), STRATEGIES["max_herding"]
    ours, found = timed(lambda: strategy(pool, n, random()))
    before, expected = timed(lambda: _every_gain(pool, n))
    same = int((found.order[:n] == expected).sum())
    note = f"before: all {size:,}^2 gains at every step; {same} of {n} choices are the same"
    rows = [times_faster(f"max_herding N={size:,} D=512 n={n}", ours, before, "", note)]
    large = 1_000 if quick else 100_000
    seconds, found = timed(lambda: strategy(make_pool(large, 512), n, random()))
    note = f"measured on {found.notes['references']:,} tasks; the drawing of the pool included"
    return [*rows, Row(f"max_herding N={large:,} D=512 n={n}", seconds.wall, None, "s", note=note)]


def _every_gain(pool: Pool, n: int) -> np.ndarray:
    """Return the greedy choice, float64, the kernel written out."""
    assert pool.features is not None
    z = torch.nn.functional.normalize(torch.from_numpy(pool.features["z"]).double(), dim=1)
    kernel = (2 * (z @ z.T) - 2).clamp_(max=0).exp_()
    best, chosen = torch.zeros(len(z), dtype=torch.float64), []
    for _ in range(n):
        gains = (kernel - best).clamp_(min=0).sum(dim=1)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        best = torch.maximum(best, kernel[chosen[-1]])
    return np.asarray(chosen)


PARTS: dict[str, Callable[[bool], Iterable[Row]]] = {
    "typiclust": typiclust,
    "dbal": dbal,
    "grace": grace,
    "gcnal": gcnal,
    "herding": herding,
}

if __name__ == "__main__":
    run(PARTS, arguments("Clustering and covering: before and after."))
