"""Covering a large pool: tiles of the kernel against whole rows of it.

python -m benchmarks.coverage [--quick] [--json PATH] [--only scattered|trained]

The baseline is what strategies/coverage.py was until it went by tiles: it measured whole rows of
the kernel with the natural exponent, and kept a front of 256 candidates up to date. References are
the same in both. `scattered` are 200 groups in 128 dimensions; `trained` is what a network that
tells two classes apart makes of its tasks: labelled tasks near each other, most others far away.

Processor time depends on threads where other programs want the cores, too: torch's own teams wait
for each other with the processor in hand. OMP_NUM_THREADS=1 shows what is computed alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from benchmarks._report import Row, arguments, run, timed, times_faster
from strategies.coverage import ROUNDING, cover
from strategies.factors import Dense

WIDTH, LABELLED, CHOSEN, REFERENCES, FRONT = 128, 80, 100, 5_000, 256
Points = tuple[torch.Tensor, torch.Tensor, np.ndarray]


def scattered(size: int) -> Points:
    """Return N tasks and 80 labelled ones of length 1, and weights (N,)."""
    rng = np.random.default_rng(0)
    groups = rng.standard_normal((200, WIDTH), dtype=np.float32)
    noise = rng.standard_normal((size + LABELLED, WIDTH), dtype=np.float32)
    return _made(groups[rng.integers(200, size=len(noise))] + noise, rng.random(size))


def trained(size: int) -> Points:
    """Return the same as a network sees them: one long direction, and noise beside it."""
    rng = np.random.default_rng(0)
    sides = np.maximum(rng.standard_normal((2, WIDTH), dtype=np.float32), 0)
    logits = 3 * rng.standard_normal(size + LABELLED, dtype=np.float32)
    share = 1 / (1 + np.exp(-logits[:, None]))
    noise = 0.04 * rng.standard_normal((len(share), WIDTH), dtype=np.float32)
    rows = share * sides[0] + (1 - share) * sides[1] + noise
    return _made(rows, np.exp(-np.abs(logits[:size])))


def _made(rows: np.ndarray, weights: np.ndarray) -> Points:
    unit = torch.nn.functional.normalize(torch.from_numpy(rows))
    return unit[:-LABELLED], unit[-LABELLED:], weights.astype(np.float64)


def radius_of(labelled: torch.Tensor) -> float:
    """Return the smallest distance between two labelled tasks."""
    return float(torch.nn.functional.pdist(labelled.double()).min())


def by_rows(points: Points, references: torch.Tensor, share: torch.Tensor, radius: float) -> list:
    """Choose by whole rows of the kernel."""
    x, labelled, _ = points
    seen = x[references]
    norms = seen.square().sum(dim=1)

    def kernel(rows: torch.Tensor) -> torch.Tensor:
        squared = torch.addmm(norms, rows, seen.T, alpha=-2)
        squared += rows.square().sum(dim=1, keepdim=True)
        squared[squared <= ROUNDING] = 0
        return squared.mul_(-1 / radius**2).exp_()

    def gains(similar: torch.Tensor) -> torch.Tensor:
        return (similar - best).clamp_(min=0) @ share

    best = kernel(labelled).amax(dim=0)
    bound = torch.cat([gains(kernel(rows)) for rows in x.split(400)])
    chosen: list[int] = []
    while len(chosen) < CHOSEN:
        order = bound.sort(descending=True, stable=True).indices
        front, outside = order[:FRONT].sort().values, float(bound[order[FRONT]])
        similar, before = kernel(x[front]), len(chosen)
        while len(chosen) < CHOSEN:
            bound[front] = torch.where(bound[front] < 0, -1.0, gains(similar))
            place = int(bound[front].argmax())
            row = int(front[place])
            if bound[row] < outside or (bound[row] == outside and len(chosen) > before):
                break
            chosen.append(row)
            bound[row] = -1.0
            torch.maximum(best, similar[place], out=best)
    return chosen


def against_rows(name: str, points: Points) -> Row:
    """Compare both on one pool."""
    x, labelled, weights = points
    size, radius, limit = len(x), radius_of(labelled), min(REFERENCES, len(x) // 4)
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(size, limit, replace=False, p=weights / weights.sum()))
    share = torch.full((limit,), 1 / limit)
    ours, found = timed(
        lambda: cover(
            Dense(x),
            CHOSEN,
            np.random.default_rng(0),
            radius=radius,
            eligible=np.arange(size),
            centres=Dense(labelled),
            weights=weights,
            limit=limit,
        )
    )
    theirs, expected = timed(lambda: by_rows(points, torch.from_numpy(drawn), share, radius))
    same = int((found.indices == np.asarray(expected)).sum())
    return times_faster(
        f"{name}: N={size:,} D={WIDTH} n={CHOSEN}",
        ours,
        theirs,
        "",
        f"{limit:,} references, radius {radius:.3g}; {same} of {CHOSEN} choices are the same; "
        f"processor seconds {ours.cpu:.1f} and {theirs.cpu:.1f}.",
    )


def _sizes(quick: bool) -> tuple[int, ...]:
    return (2_000,) if quick else (20_000, 100_000)


def of_scattered(quick: bool) -> Iterable[Row]:
    """Compare on groups."""
    return (against_rows("scattered", scattered(size)) for size in _sizes(quick))


def of_trained(quick: bool) -> Iterable[Row]:
    """Compare on what a network sees."""
    return (against_rows("trained", trained(size)) for size in _sizes(quick))


if __name__ == "__main__":
    parts = {"scattered": of_scattered, "trained": of_trained}
    run(parts, arguments("Covering a pool: tiles of the kernel against whole rows."))
