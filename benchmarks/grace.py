"""GRACE's criteria in closed form against per-sample autograd; representativeness at scale.

python -m benchmarks.grace [--quick] [--json PATH] [--only NAME]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks._report import Row, arguments, run, timed, times_faster
from strategies import LayerGradients, Pool
from strategies.criteria import REFERENCE_SIZE, easiness, informativeness, layer_embeddings
from strategies.distance_sums import estimated_sums, exact_sums
from strategies.gradients import OuterProducts

MODALITIES = ("text", "audio", "video")
INPUT, HIDDEN, OUTPUT, CLASSES = 128, 64, 64, 7


class Network(torch.nn.Module):
    """Three encoders that end in a linear layer, a head on each, a fusion network on all."""

    def __init__(self) -> None:
        super().__init__()
        linear = torch.nn.Linear
        self.first = torch.nn.ModuleList([linear(INPUT, HIDDEN) for _ in MODALITIES])
        self.last = torch.nn.ModuleList([linear(HIDDEN, OUTPUT) for _ in MODALITIES])
        self.heads = torch.nn.ModuleList([linear(OUTPUT, CLASSES) for _ in MODALITIES])
        self.fusion = torch.nn.Sequential(
            linear(3 * OUTPUT, 64), torch.nn.ReLU(), linear(64, CLASSES)
        )

    def forward(
        self, x: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Return the last layers' inputs and outputs and the M + 1 losses on pseudo-labels."""
        inputs = [torch.relu(layer(x[:, k])) for k, layer in enumerate(self.first)]
        outputs = [layer(h) for layer, h in zip(self.last, inputs, strict=True)]
        answers = [head(torch.relu(z)) for head, z in zip(self.heads, outputs, strict=True)]
        answers.append(self.fusion(torch.relu(torch.cat(outputs, dim=1))))
        losses = [
            torch.nn.functional.cross_entropy(f, f.argmax(dim=1), reduction="none") for f in answers
        ]
        return inputs, outputs, losses


def tasks(size: int) -> torch.Tensor:
    """(N, 3, INPUT) inputs around some centres."""
    random = torch.Generator().manual_seed(0)
    centres = torch.randn((20, 3, INPUT), generator=random)
    group = torch.randint(20, (size,), generator=random)
    scale = 0.2 + torch.rand((size, 1, 1), generator=random)
    return scale * (centres[group] + torch.randn((size, 3, INPUT), generator=random))


def network() -> Network:
    """The same untrained network in every run."""
    torch.manual_seed(0)
    return Network()


def closed_form(model: Network, x: torch.Tensor) -> Pool:
    """Return the pool of factors: one batched forward and backward to the layers' outputs."""
    inputs, outputs, losses = model(x)
    shared = torch.autograd.grad(losses[3].sum(), outputs, retain_graph=True)
    own = torch.autograd.grad(torch.stack(losses[:3]).sum(), outputs)
    gradients = {
        name: LayerGradients(*(part.detach().numpy() for part in parts))
        for name, *parts in zip(MODALITIES, inputs, own, shared, strict=True)
    }
    return Pool(len(x), MODALITIES, gradients=gradients)


def ours(model: Network, x: torch.Tensor) -> np.ndarray:
    """(N, 2) informativeness and easiness from factors."""
    pool = closed_form(model, x)
    return np.stack([informativeness(pool), easiness(pool)], axis=1)


def per_sample(model: Network, x: torch.Tensor) -> np.ndarray:
    """(N, 2) informativeness and easiness from each task's own backward passes."""
    weights = [layer.weight for layer in model.last]
    rows = []
    for task in x:
        _, _, losses = model(task[None])
        shared = torch.autograd.grad(losses[3].sum(), weights, retain_graph=True)
        row = [0.0, 0.0]
        for k, weight in enumerate(weights):
            (own,) = torch.autograd.grad(losses[k].sum(), [weight], retain_graph=True)
            row[0] += float((own + shared[k]).norm())
            row[1] += float(
                torch.nn.functional.cosine_similarity(own.flatten(), shared[k].flatten(), dim=0)
            )
        rows.append(row)
    return np.array(rows)


def gradients(quick: bool) -> list[Row]:
    """Informativeness and easiness, from inputs to numbers."""
    size = 100 if quick else 2_000
    model, x = network(), tasks(size)
    ours(model, x)
    fast, found = timed(lambda: ours(model, x), 3)
    slow, expected = timed(lambda: per_sample(model, x))
    difference = float(np.abs(found - expected).max())
    return [
        times_faster(
            f"gradients in closed form: N={size:,} M=3 H={HIDDEN} D={OUTPUT}",
            fast,
            slow,
            ">= 25",
            f"baseline: per-sample autograd; largest difference {difference:.1e} (float32).",
        )
    ]


def materialised_sums(embeddings: OuterProducts) -> np.ndarray:
    """Sums of distances between written-out gradients, 1,000 rows at a time."""
    points = embeddings.take(slice(0, embeddings.size), torch.float32)
    written = (points.left[:, :, None] * points.right[:, None, :]).flatten(1)
    return torch.cat(
        [torch.cdist(some, written).sum(dim=1) for some in written.split(1000)]
    ).numpy()


def exact(quick: bool) -> list[Row]:
    """All pairs of one modality."""
    size = 1_000 if quick else 20_000
    pool = closed_form(network(), tasks(size))
    embeddings = layer_embeddings(pool.gradients["text"])
    fast, found = timed(lambda: exact_sums(embeddings, np.arange(size)).sums)
    slow, expected = timed(lambda: materialised_sums(embeddings))
    difference = float(np.abs(found / expected - 1).max())
    return [
        times_faster(
            f"representativeness, exact: N={size:,} D={OUTPUT} H={HIDDEN}",
            fast,
            slow,
            "",
            "one modality; baseline: blocked torch.cdist on written-out gradients "
            f"({size * HIDDEN * OUTPUT * 4 / 2**30:.2f} GiB); "
            f"largest relative difference {difference:.1e}.",
        )
    ]


def estimate(quick: bool) -> list[Row]:
    """The reference-set estimate against exact sums of a subsample."""
    size, some = (3_000, 300) if quick else (200_000, 2_000)
    pool = closed_form(network(), tasks(size))
    embeddings = layer_embeddings(pool.gradients["text"])
    rng = np.random.default_rng(0)
    rows = np.arange(size)
    seconds, found = timed(lambda: estimated_sums(embeddings, rows, REFERENCE_SIZE, rng))
    sample = np.sort(rng.choice(size, some, replace=False))
    slow, truth = timed(lambda: _sums_of(embeddings, sample))
    rank = spearmanr(truth, found.sums[sample]).statistic
    off = float(np.median(np.abs(found.sums[sample] / truth - 1)))
    return [
        Row(
            f"representativeness, estimate: N={size:,} D={OUTPUT} H={HIDDEN}",
            seconds.wall,
            slow.wall * size / some,
            "s",
            float(rank),
            ">= 0.99",
            f"ratio: Spearman to the exact sums of {some:,} tasks, {REFERENCE_SIZE:,} references; "
            "baseline: exact for all, extrapolated from those; median relative standard error "
            f"{np.median(found.standard_errors / found.sums):.2%}, error {off:.2%}.",
        )
    ]


def _sums_of(embeddings: OuterProducts, sample: np.ndarray) -> np.ndarray:
    """Exact sums of a few rows' distances to all rows."""
    few = embeddings.take(torch.from_numpy(sample), torch.float32)
    total = torch.zeros(len(sample), dtype=torch.float64)
    for start in range(0, embeddings.size, 2_000):
        other = embeddings.take(slice(start, start + 2_000), torch.float32)
        total += few.squared_distances(other).clamp_(min=0).sqrt().sum(dim=1)
    return total.numpy()


PARTS: dict[str, Callable[[bool], Iterable[Row]]] = {
    "gradients": gradients,
    "exact": exact,
    "estimate": estimate,
}

if __name__ == "__main__":
    run(PARTS, arguments("GRACE: closed form against autograd, representativeness at scale."))
