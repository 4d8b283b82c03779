"""Absent modalities: their rows are zero vectors, and no encoder sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from model.encoders.base import Module


def zero_absent(features: Sequence[Tensor], present: Tensor) -> list[Tensor]:
    """Set the rows of absent modalities to zero."""
    if bool(present.all()):
        return list(features)
    return [z * present[:, column, None] for column, z in enumerate(features)]


class Missing(Module):
    """Stands for a modality that no training sample has."""

    width = 1

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 1, device=x.device)


def where_present(
    encoder: Module, values: Tensor, present: Tensor, by_maps: bool
) -> tuple[Tensor, Tensor | None]:
    """Encode the rows that have the modality; the others are zero vectors (B, H) and zero maps."""
    if isinstance(encoder, Missing) or not bool(present.any()):
        h = torch.zeros(len(present), encoder.width, device=present.device)
        return h, _empty_maps(encoder, values) if by_maps else None
    everywhere = bool(present.all())
    some = values if everywhere else values[present]
    with _steady_norms(encoder, encoder.training and len(some) == 1):
        middle = encoder.middle(some) if by_maps else None
        h = encoder(some) if middle is None else encoder.tail(middle)
    if everywhere:
        return h, middle
    return _spread(h, present), None if middle is None else _spread(middle, present)


@contextmanager
def _steady_norms(encoder: Module, lone: bool) -> Iterator[None]:
    """Let batch norms use their running statistics for a lone row, which has no spread."""
    norms = [m for m in encoder.modules() if isinstance(m, _BatchNorm) and m.training]
    norms = norms if lone else []
    for norm in norms:
        norm.eval()
    yield
    for norm in norms:
        norm.train()


def _empty_maps(encoder: Module, values: Tensor) -> Tensor:
    """Return zero maps of the shape that the encoder would give for these values."""
    training = encoder.training
    encoder.eval()  # one look at the shape must not move batch norm's statistics
    with torch.no_grad():
        shape = encoder.middle(values[:1]).shape[1:]
    encoder.train(training)
    return torch.zeros(len(values), *shape, device=values.device)


def _spread(some: Tensor, present: Tensor) -> Tensor:
    """Put rows back to where they came from, zero rows elsewhere."""
    whole = torch.zeros(len(present), *some.shape[1:], dtype=some.dtype, device=some.device)
    return whole.index_put((present.nonzero(as_tuple=True)[0],), some)
