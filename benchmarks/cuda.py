"""BMMAL on half-precision factors that live on a CUDA device, against what the device can do.

python -m benchmarks.cuda [--quick] [--json PATH] [--only NAME]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch

from benchmarks._report import Row, Timing, arguments, run, timed
from strategies import STRATEGIES, Pool
from strategies.shapley import all_coalitions

GIB = 2**30
MODALITIES = ("image", "text")
BLOCK = 1024


def make_pool(size: int, classes: int, width: int, dtype: torch.dtype, where: torch.device) -> Pool:
    """Draw a pool of two modalities on a device, from a fixed seed."""
    random = torch.Generator(device=where).manual_seed(0)

    def normal(columns: int, kind: torch.dtype) -> torch.Tensor:
        return torch.randn((size, columns), generator=random, device=where, dtype=kind)

    features = {name: normal(width // 2, dtype) for name in MODALITIES}
    p = torch.cat([(2 * part).softmax(1) for part in normal(classes, dtype).split(50_000)])
    rng = np.random.default_rng(0)
    coalitions = {key: rng.random(size) for key in all_coalitions(MODALITIES)}
    # The arrays are tensors on the device; every strategy that computes with torch takes those.
    return Pool(size, MODALITIES, probabilities=p, features=features, coalitions=coalitions)  # type: ignore[arg-type]


def rate(function: Callable[[], object], work: float) -> float:
    """Return the best of some calls in units of work per second."""

    def finished() -> None:
        function()
        torch.cuda.synchronize()

    finished()
    return work / timed(finished, 5)[0].wall


def limits() -> tuple[float, float, float]:
    """Measure bytes copied, and float32 and bfloat16 operations of a product, per second."""
    source = torch.ones(GIB // 2, dtype=torch.int32, device="cuda")
    target = torch.empty_like(source)
    copied = rate(lambda: target.copy_(source), 2 * source.nbytes)
    rates = []
    for dtype in (torch.float32, torch.bfloat16):
        square = torch.randn((8192, 8192), device="cuda").to(dtype)
        rates.append(rate(lambda square=square: square @ square, 2 * 8192**3))
    return copied, rates[0], rates[1]


def select(pool: Pool, n: int) -> tuple[Timing, np.ndarray]:
    """Rank by BMMAL; return the time and the batch."""

    def call() -> np.ndarray:
        rng = np.random.default_rng(0)
        order = STRATEGIES["bmmal"](pool, n, rng, block=BLOCK).order[:n]
        torch.cuda.synchronize()
        return order

    return timed(call)


def speed(quick: bool) -> Iterable[Row]:
    """Time all of bmmal, from arrays to ranking, in both half precisions."""
    if not _cuda():
        return
    small = (20_000, 100, 256, 200)
    size, classes, width, n = small if quick else (1_000_000, 1_000, 2_048, 10_000)
    copied, single, half = limits()
    device = f"{torch.cuda.get_device_name()}: copies {copied / 1e12:.2f} TB/s, products "
    device += f"{single / 1e12:.0f} TFLOP/s in float32, {half / 1e12:.0f} in bfloat16"
    print(device)
    select(make_pool(2_000, classes, width, torch.float16, torch.device("cuda")), 100)
    for dtype in (torch.float16, torch.bfloat16):
        pool = make_pool(size, classes, width, dtype, torch.device("cuda"))
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        taken, _ = select(pool, n)
        more = (torch.cuda.max_memory_allocated() - before) / GIB
        factors = size * (classes + width) * 2
        done = 2.0 * size * n * (classes + width) / taken.wall
        # Sequential k-means++ has to read the factors once per centre.
        bound = n * factors / copied
        yield Row(
            f"bmmal on CUDA, {_name(dtype)}: N={size:,} K={classes:,} D={width:,} n={n:,}",
            taken.wall,
            bound,
            "s",
            bound / taken.wall,
            note=f"baseline: what the copy rate allows a form that reads the {factors / GIB:.1f} "
            f"GiB of factors once per centre. {done / 1e12:.1f} TFLOP/s: "
            f"{done / single:.0%} of the float32 rate (in which products are computed), "
            f"{done / half:.1%} of the bfloat16 rate; "
            f"{more:.1f} GiB beyond the factors. {device}.",
        )
        del pool


def agreement(quick: bool) -> Iterable[Row]:
    """Compare the choice on the GPU with that on the CPU, for the same arrays and numbers."""
    if not _cuda():
        return
    size, n = (2_000, 100) if quick else (20_000, 500)
    for dtype in (torch.float16, torch.float32, torch.float64):
        pool = make_pool(size, 50, 256, dtype, torch.device("cpu"))
        assert pool.features is not None
        there = {name: torch.as_tensor(z).cuda() for name, z in pool.features.items()}
        moved = replace(pool, probabilities=torch.as_tensor(pool.probabilities).cuda())
        moved = replace(moved, features=there)  # type: ignore[arg-type]
        here, expected = select(pool, n)
        taken, found = select(moved, n)
        same = int((found == expected).sum())
        yield Row(
            f"bmmal, CUDA and CPU choose alike, {_name(dtype)}: N={size:,} n={n:,}",
            same,
            n,
            "rows",
            same / n,
            ">= 1",
            f"{taken.wall:.2f} s on CUDA, {here.wall:.2f} s on the CPU.",
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _cuda() -> bool:
    if not torch.cuda.is_available():
        print("no CUDA device here: not measured")
    return torch.cuda.is_available()


PARTS: dict[str, Callable[[bool], Iterable[Row]]] = {"agreement": agreement, "speed": speed}

if __name__ == "__main__":
    run(PARTS, arguments(__doc__ or ""))
