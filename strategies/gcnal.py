"""GCNAL: CoreSet on the features of a graph network that tells labelled from unlabelled.

CoreGCN of Caramalau et al. (CVPR 2021): a two-layer graph network over all tasks is trained to
score labelled tasks 1 and unlabelled ones 0; k-centre greedy then works on its hidden layer.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch

from strategies.coreset import cover
from strategies.eager import eager
from strategies.features import as_embeddings, labelled_features, pool_features
from strategies.neighbours import Neighbours, nearest_neighbours
from strategies.pool import Need, Pool, Selection
from strategies.ranking import Candidates
from strategies.rows import chunks
from strategies.strategy import Strategy

LEARNING_RATE = 1e-3
WEIGHT_DECAY = 5e-4
DROPOUT = 0.3


@dataclass(frozen=True)
class Graph:
    """The sparse propagation A (V, V) and its transpose, both as CSR."""

    forward: torch.Tensor
    backward: torch.Tensor


@dataclass(frozen=True)
class Scored:
    """What the trained graph network says: hidden (V, H) and labelledness (V,) in (0, 1)."""

    hidden: torch.Tensor
    labelledness: torch.Tensor


def build_batch(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    neighbours: Annotated[int, "edges per task of the graph"] = 10,
    hidden: Annotated[int, "width of the hidden layer"] = 128,
    epochs: Annotated[int, "full-graph training steps"] = 200,
    balance: Annotated[float, "weight of the unlabelled tasks' loss (lambda)"] = 1.2,
    width: Annotated[int, "features are reduced to this width"] = 256,
) -> Selection:
    """Rank by k-centre greedy on [hidden layer ; labelledness], from the labelled tasks.

    Args:
        pool: with features.
        n: size of the batch.
        candidates: rows to choose from.
        rng: seeds the network.
        neighbours: edges per task of the graph.
        hidden: width of the hidden layer.
        epochs: full-graph steps of Adam.
        balance: weight of the unlabelled tasks' loss (the paper's lambda).
        width: features of length 1 that are wider are reduced to this many directions.

    Note: the paper's graph is complete (N x N); this one has the k nearest neighbours. With
    nothing labelled there is nothing to tell apart, and CoreSet on the raw features decides.
    """
    if min(neighbours, hidden, epochs, width) < 1 or balance < 0:
        raise ValueError(
            "neighbours, hidden, epochs and width must be at least 1, balance at least 0."
        )
    points, labelled = _nodes(pool, candidates)
    points = reduced(points, width)
    found = None
    nodes = points
    components = {}
    if bool(labelled.any()):
        found = nearest_neighbours(points, min(neighbours, max(1, len(points) - 1)), rng)
        scored = _train(points, propagation(found), labelled, (hidden, epochs, balance), rng)
        nodes = torch.cat([scored.hidden, scored.labelledness[:, None]], dim=1)
        components["labelledness"] = scored.labelledness[: pool.size].double().numpy()
    graph = as_embeddings(nodes[: pool.size])
    nearest = torch.full((pool.size,), torch.inf, dtype=torch.float64)
    centres = as_embeddings(nodes[labelled])
    for some in torch.split(torch.arange(centres.size), 1024):
        graph.shrink(nearest, centres.centres(some))
    selection = cover(graph, nearest, n, candidates, components)
    method = "none: nothing is labelled" if found is None else found.method
    return Selection(
        selection.order, selection.scores, selection.components, {"neighbours": method}
    )


def _nodes(pool: Pool, candidates: Candidates) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features of pool and labelled tasks at length 1, (V, D), and who is labelled."""
    sources = [pool_features(pool), labelled_features(pool)]
    parts = [
        torch.nn.functional.normalize(source.rows(part, torch.float32).cpu(), dim=1)
        for source in sources
        if source is not None
        for part in chunks(source.shape[0], source.shape[1])
    ]
    points = torch.cat(parts)
    labelled = torch.zeros(len(points), dtype=torch.bool)
    labelled[torch.from_numpy(candidates.labelled)] = True
    labelled[pool.size :] = True
    return points, labelled


def reduced(points: torch.Tensor, width: int) -> torch.Tensor:
    """Return (V, width) rows of length 1 whose products are the nearest to those of (V, D) ones.

    They are the rows' parts along the `width` largest eigenvectors of X^T X. Of fewer rows than
    columns they follow from X X^T, which is smaller and has not all those eigenvalues that are 0.
    """
    if points.shape[1] <= width:
        return points
    if len(points) < points.shape[1]:
        values, vectors = torch.linalg.eigh((points @ points.T).double())
        parts = vectors[:, -width:] * values[-width:].clamp(min=0).sqrt()
        return torch.nn.functional.normalize(parts.float(), dim=1)
    squares = torch.zeros(points.shape[1], points.shape[1])
    for part in chunks(len(points), points.shape[1]):
        squares.addmm_(points[part].T, points[part])
    largest = torch.linalg.eigh(squares).eigenvectors[:, -width:]
    return torch.nn.functional.normalize(points @ largest, dim=1)


class _Propagate(torch.autograd.Function):
    """x -> A x with A^T at hand for the way back, which torch would transpose at each step."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, graph: Graph) -> torch.Tensor:
        ctx.graph = graph
        return graph.forward @ x

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.graph.backward @ gradients[0], None


def propagation(found: Neighbours) -> Graph:
    """Return A = D^-1 S + I, sparse (V, V), with S the symmetric graph of positive cosines."""
    from scipy import sparse

    size, k = found.indices.shape
    source, target = np.repeat(np.arange(size), k), found.indices.flatten().numpy()
    cosine = found.cosines.flatten().numpy()
    edge = (target >= 0) & (cosine > 0)
    directed = sparse.csr_array((cosine[edge], (source[edge], target[edge])), shape=(size, size))
    similar = (directed + directed.T) / 2
    degree = similar.sum(axis=1)
    scale = np.divide(1, degree, out=np.zeros_like(degree), where=degree > 0)
    whole = sparse.diags_array(scale) @ similar + sparse.eye_array(size, dtype=np.float32)
    return Graph(_to_torch(whole), _to_torch(whole.T))


def _to_torch(matrix: Any) -> torch.Tensor:
    from scipy import sparse

    rows = sparse.csr_array(matrix, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse ")  # Beta notice, unchecked invariants.
        return torch.sparse_csr_tensor(
            torch.from_numpy(rows.indptr.astype(np.int64)),
            torch.from_numpy(rows.indices.astype(np.int64)),
            torch.from_numpy(rows.data),
            rows.shape,
        )


def _train(
    points: torch.Tensor,
    graph: Graph,
    labelled: torch.Tensor,
    settings: tuple[int, int, float],
    rng: np.random.Generator,
) -> Scored:
    """Train f = sigmoid(A relu(A X W_1) w_2) on the balanced binary cross-entropy."""
    width, epochs, balance = settings
    random = torch.Generator().manual_seed(int(rng.integers(2**31)))
    weights = [
        torch.empty(shape).uniform_(-bound, bound, generator=random).requires_grad_()
        for shape, bound in _layers(points.shape[1], width)
    ]
    optimiser = eager(torch.optim.Adam)(weights, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def forward(keep: float) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = torch.relu(_propagate(points @ weights[0], graph) + weights[1])
        mask = torch.rand(hidden.shape, generator=random) < keep
        dropped = hidden * mask / keep
        return hidden, (_propagate(dropped @ weights[2], graph) + weights[3]).squeeze(1)

    for _ in range(epochs):
        _, logits = forward(1 - DROPOUT)
        loss = -torch.nn.functional.logsigmoid(logits[labelled]).mean()
        if not bool(labelled.all()):
            loss = loss - balance * torch.nn.functional.logsigmoid(-logits[~labelled]).mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    with torch.no_grad():
        hidden, logits = forward(1.0)
    return Scored(hidden, torch.sigmoid(logits))


def _propagate(x: torch.Tensor, graph: Graph) -> torch.Tensor:
    result: torch.Tensor = _Propagate.apply(x, graph)  # type: ignore[no-untyped-call]
    return result


def _layers(inputs: int, width: int) -> list[tuple[tuple[int, ...], float]]:
    """Return shape and bound of the uniform start of W_1, b_1, w_2, b_2."""
    first, second = (6 / max(1, inputs + width)) ** 0.5, (6 / (width + 1)) ** 0.5
    return [((inputs, width), first), ((width,), 0.0), ((width, 1), second), ((1,), 0.0)]


GCNAL = Strategy(
    name="gcnal",
    build_batch=build_batch,
    needs=frozenset({Need.FEATURES, Need.LABELLED_FEATURES}),
    paper="Caramalau et al., CVPR 2021 (CoreGCN)",
    summary="CoreSet on a graph network's view of what is unlike the labelled tasks.",
)
