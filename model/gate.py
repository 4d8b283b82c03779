"""BMMAL's non-local gate: a fusion in which one modality's map attends to the others' maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.dropout import Dropout
from model.encoders.base import Tail
from model.fusion import Lent, Stepwise, classifier


class Gate(Stepwise):
    """Non-local gate of BMMAL: one modality's map attends to all others (reference: NL-gate).

    out = v + h(softmax(theta(v) . phi(a)) . g(a)) with v the main modality's map (B, C, ...) and a
    the other modalities' maps, to each of which the main map, averaged over space, is joined as
    further channels. A tail of its own continues with `out`, built like the main network's fourth
    stage, where maps are mid-level ones; plain vectors have none.

    Note: the paper has M = 2. For M > 2 every other modality has its own phi and g, and the softmax
    runs over the positions of all of them; for M = 1 the map attends to itself.
    """

    def __init__(
        self,
        channels: Sequence[int],
        main: int,
        outputs: int,
        inner: int,
        tail: Tail | None,
        dropout: float,
    ) -> None:
        """Build the gate.

        Args:
            channels: C_m of each modality's map.
            main: the modality whose map attends.
            outputs: K.
            inner: width of keys and values.
            tail: what continues with the gated map; None for plain vectors.
            dropout: before the head.
        """
        super().__init__()
        self.main = main
        self.others = [m for m in range(len(channels)) if m != main] or [main]
        width = channels[main]
        self.theta, self.h = nn.Linear(width, inner), nn.Linear(inner, width)
        self.phi = nn.ModuleList(nn.Linear(channels[m] + width, inner) for m in self.others)
        self.g = nn.ModuleList(nn.Linear(channels[m] + width, inner) for m in self.others)
        self.tail = tail
        self.width = width if tail is None else tail.width
        self.dropout = Dropout(dropout)
        self.head = classifier(self.width, outputs)

    def weight(self, lent: Lent) -> Tensor:
        """Return the head's weight (K, width)."""
        return self.head.weight

    def joined(self, maps: Sequence[Tensor], lent: Lent) -> Tensor:
        """Return the gated feature (B, width) of maps (B, C_m, ...)."""
        main = maps[self.main]
        query = self.theta(main.flatten(2).transpose(1, 2)) if main.ndim > 2 else None
        if query is None:
            query = self.theta(main)[:, None]
        keys, values = [], []
        for other, phi, g in zip(self.others, self.phi, self.g, strict=True):
            pairs = _with_main(maps[other], main)
            keys.append(phi(pairs))
            values.append(g(pairs))
        attention = (query @ torch.cat(keys, dim=1).transpose(1, 2)).softmax(dim=2)
        added = self.h(attention @ torch.cat(values, dim=1))
        out = main + added.transpose(1, 2).reshape(main.shape)
        return out if self.tail is None else self.tail(out)

    def forward(self, maps: Sequence[Tensor], lent: Lent) -> Tensor:
        """Return logits (B, K)."""
        return self.head(self.dropout(self.joined(maps, lent)))


def _with_main(other: Tensor, main: Tensor) -> Tensor:
    """Join the main map to each position of another one: (B, P, C_other + C_main).

    A clip's map (B, C, T, H, W) is averaged over space and its T steps are repeated along the
    other map's time (its last axis), as in the published gate; any other map is averaged whole.
    """
    flat = other.flatten(2) if other.ndim > 2 else other[..., None]
    if main.ndim == 5 and other.ndim > 2:
        course = main.mean(dim=(3, 4))
        time = torch.arange(other.shape[-1], device=other.device) * course.shape[2]
        stretched = course[:, :, time // other.shape[-1]]
        rows = flat.shape[2] // other.shape[-1]
        beside = stretched.repeat(1, 1, rows)
    else:
        mean = main.flatten(2).mean(dim=2) if main.ndim > 2 else main
        beside = mean[..., None].expand(-1, -1, flat.shape[2])
    return torch.cat([flat, beside], dim=1).transpose(1, 2)
