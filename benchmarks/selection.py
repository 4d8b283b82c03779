"""Selection on factorised gradients against sequential, materialised and peers' code.

python -m benchmarks.selection [--quick] [--json PATH] [--only bmmal|peers|coreset|scaling]

The same on a GPU: benchmarks.cuda.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks._pools import factors_of, make_pool, mapped_pool, random
from benchmarks._report import (
    Row,
    Timing,
    arguments,
    memory_now,
    peak_memory,
    run,
    timed,
    times_faster,
)
from strategies import STRATEGIES, Pool
from strategies.gradients import OuterProducts
from strategies.kmeanspp import kmeanspp

GIB = 2**30


def sequential(left: np.ndarray, right: np.ndarray, n: int, rng: np.random.Generator) -> list[int]:
    """k-means++ one centre at a time on the factors, in NumPy: two products per centre."""
    norms = (left**2).sum(axis=1) * (right**2).sum(axis=1)
    chosen = [int(norms.argmax())]
    nearest = np.full(len(left), np.inf)
    while True:
        row = chosen[-1]
        inner = (left @ left[row]) * (right @ right[row])
        nearest = np.minimum(nearest, np.clip(norms + norms[row] - 2 * inner, 0, None))
        nearest[chosen] = 0
        if len(chosen) == n:
            return chosen
        chosen.append(int(rng.choice(len(left), p=nearest / nearest.sum())))


def materialised(
    left: np.ndarray, right: np.ndarray, n: int, rng: np.random.Generator
) -> list[int]:
    """k-means++ one centre at a time on the written-out N x K x D gradients."""
    gradients = (torch.from_numpy(left)[:, :, None] * torch.from_numpy(right)[:, None, :]).flatten(
        1
    )
    chosen = [int(torch.linalg.vector_norm(gradients, dim=1).argmax())]
    nearest = torch.full((len(left),), torch.inf, dtype=torch.float64)
    while True:
        difference = gradients - gradients[chosen[-1]]
        squared = torch.linalg.vector_norm(difference, dim=1).double().square_()
        nearest = torch.minimum(nearest, squared)
        if len(chosen) == n:
            return chosen
        chosen.append(int(rng.choice(len(left), p=(nearest / nearest.sum()).numpy())))


def against_sequential(quick: bool) -> list[Row]:
    """BMMAL at the size of Food101."""
    size, n = (2_000, 50) if quick else (45_000, 1_000)
    before = memory_now()
    pool = make_pool(size, 101, {"text": 768, "image": 2048})
    bmmal = STRATEGIES["bmmal"]
    bmmal(make_pool(500, 101, {"text": 768, "image": 2048}), 20, random())  # load what loads once
    peak = peak_memory(lambda: bmmal(pool, n, random())) - before
    factors = sum(z.nbytes for z in pool.features.values()) + pool.probabilities.nbytes
    seconds, _ = timed(lambda: bmmal(pool, n, random()), 2)
    left, right = factors_of(pool)
    slow, _ = timed(lambda: sequential(left, right, n, random()))
    embeddings = OuterProducts(left, right)
    bare, _ = timed(lambda: kmeanspp(embeddings, n, random()), 2)
    sizes = f"N={size:,} K=101 D=2816 n={n:,}"
    return [
        times_faster(
            f"bmmal {sizes}",
            seconds,
            slow,
            ">= 5",
            "ours: all of bmmal from probabilities, features and coalitions; baseline: "
            "sequential k-means++ in NumPy on finished factors. "
            f"Ours {seconds.per(n).wall * 1e3:.1f} ms a centre, "
            f"baseline {slow.per(n).wall * 1e3:.1f}.",
        ),
        times_faster(
            f"k-means++ alone {sizes}",
            bare,
            slow,
            ">= 5",
            f"both on the same factors; ours {bare.per(n).wall * 1e3:.1f} ms a centre.",
        ),
        Row(
            f"bmmal peak memory {sizes}",
            peak / GIB,
            factors / GIB,
            "GiB",
            peak / factors,
            "<= 2",
            "resident memory that the pool and its ranking take; baseline: the factors' size.",
        ),
    ]


def fitting_size(classes: int, width: int, bytes_each: int, copies: float) -> int:
    """Return the most tasks, up to 5,000, whose gradients fit in half of the free memory."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024 / 2
            return min(5_000, int(free / (classes * width * bytes_each * copies)) // 100 * 100)
    raise RuntimeError("/proc/meminfo has no MemAvailable")


def against_materialised(quick: bool) -> list[Row]:
    """Against gradients written out, per centre (a centre of theirs takes seconds)."""
    widths = {"text": 768, "image": 2048}
    size = 200 if quick else fitting_size(101, 2816, 4, 2)
    pool = make_pool(size, 101, widths)
    left, right = factors_of(pool)
    theirs = 3
    slow, _ = timed(lambda: materialised(left, right, theirs, random()))
    rows = [_per_centre("materialised BMMAL", pool, slow.per(theirs), theirs, "bmmal")]
    size = 100 if quick else fitting_size(101, 2816, 8, 3)
    pool = make_pool(size, 101, widths)
    slow, _ = timed(lambda: _peer_badge(pool, theirs))
    rows.append(_per_centre("scikit-activeml Badge", pool, slow.per(theirs), theirs, "badge"))
    return rows


def _per_centre(name: str, pool: Pool, slow: Timing, theirs: int, strategy: str) -> Row:
    n = min(500, pool.size // 4)
    seconds, _ = timed(lambda: STRATEGIES[strategy](pool, n, random()), 3)
    return times_faster(
        f"{strategy}, {name}: N={pool.size:,} K=101 D=2816",
        seconds.per(n),
        slow,
        ">= 500",
        f"per centre, all set-up included; ours over n={n}, theirs over n={theirs}; "
        "N: the most, up to 5,000, that fits theirs into half of the free memory.",
        unit="ms",
    )


def _peer_badge(pool: Pool, n: int) -> list[int]:
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    probabilities = pool.probabilities

    class Fixed(SkactivemlClassifier):  # type: ignore[misc]
        """A classifier that gives the pool's probabilities."""

        def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: None = None) -> Fixed:
            return self

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return probabilities

    features = np.hstack([pool.features[name] for name in pool.modalities])
    classifier = Fixed(classes=list(range(probabilities.shape[1])))
    labels = np.full(pool.size, np.nan)
    chosen = Badge(random_state=0).query(features, labels, classifier, fit_clf=False, batch_size=n)
    return [int(row) for row in chosen]


def against_coresets(quick: bool) -> Iterator[Row]:
    """k-centre greedy from 100 labelled tasks.

    small-text measures all tasks against all centres again for each choice, which takes hours for
    1,000, so it chooses 5, and ours as many.
    """
    from skactiveml.pool import CoreSet
    from small_text.query_strategies.coresets import greedy_coreset

    size, n = (1_000, 50) if quick else (50_000, 1_000)
    x = make_pool(size, 20, {"z": 512}).features["z"]
    # At the end: small-text takes positions among the unlabelled for rows of x.
    pool, labelled = Pool(size, ("z",), features={"z": x}), np.arange(size - 100, size)
    labels, rest = np.full(size, np.nan), np.arange(size - 100)
    labels[labelled] = 0
    coreset = partial(STRATEGIES["coreset"], pool, rng=random(), labelled=labelled)

    def scikit_activeml(count: int) -> list[int]:
        return [int(i) for i in CoreSet(random_state=0).query(x, labels, batch_size=count)]

    def small_text(count: int) -> list[int]:
        return list(greedy_coreset(x, rest, labelled, count, distance_metric="euclidean"))

    for name, peer, count in (
        ("small-text", small_text, 5),
        ("scikit-activeml", scikit_activeml, n),
    ):
        ours, found = timed(partial(coreset, n=count), 2)
        theirs, expected = timed(partial(peer, count))
        same = int((found.order[:count] == np.asarray(expected)).sum())
        yield times_faster(
            f"coreset, {name}: N={size:,} D=512 n={count:,}",
            ours,
            theirs,
            ">= 5",
            f"{same} of {count:,} choices are the same.",
        )


def scaling(quick: bool) -> list[Row]:
    """BADGE on float16 maps on disk: time per task must not grow."""
    n = 50 if quick else 1_000
    rows: list[Row] = []
    for size in (1_000, 5_000) if quick else (10_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            pool = mapped_pool(Path(folder), size, 100, 512)
            before = memory_now()
            results: list[Timing] = []
            peak = peak_memory(
                lambda pool=pool, results=results: results.append(
                    timed(lambda: STRATEGIES["badge"](pool, n, random()))[0]
                )
            )
        seconds = results[0].wall
        base = rows[0].ours * size / (1_000 if quick else 10_000) if rows else None
        rows.append(
            Row(
                f"badge on float16 maps: N={size:,} K=100 D=512 n={n:,}",
                seconds,
                base,
                "s",
                None if base is None else seconds / base,
                "" if base is None else "<= 1.25",
                f"baseline: the first row's time times N. {seconds / size * 1e6:.1f} us a task; "
                f"maps {size * 612 * 2 / GIB:.2f} GiB, resident at most "
                f"{(peak - before) / GIB:.2f} GiB more, maps' pages counted.",
            )
        )
    return rows


PARTS: dict[str, Callable[[bool], Iterable[Row]]] = {
    "bmmal": against_sequential,
    "peers": against_materialised,
    "coreset": against_coresets,
    "scaling": scaling,
}

if __name__ == "__main__":
    run(PARTS, arguments("Selection: ours against sequential, materialised and peers' code."))
