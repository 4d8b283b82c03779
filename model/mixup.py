"""Mixup of single modalities (AV-MC): one modality of a sample is blended with another sample's.

AV-MC (Liu et al., ICMI 2022) takes every step on a batch, on the batch with its audio mixed, and on
the batch with its video mixed: L + L_audio + L_video. Each draws a share s from Beta(a, a) and a
permutation p, replaces what the modality is by s h_i + (1 - s) h_p(i), and compares the modality's
own head and the fused head with both labels, s l(y_i) + (1 - s) l(y_p(i)); the other modalities'
heads see what they saw, and are compared with their own labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.options import Training, by_modality
from model.schema import Schema

if TYPE_CHECKING:
    from model.network import Encoded, Network


@dataclass(frozen=True)
class Blend:
    """With whom a batch's samples share one modality.

    Attributes:
        column: of the modality.
        share: what stays of a sample's own, in [0, 1].
        partner: (B,) rows whose modality makes up the rest.
    """

    column: int
    share: float
    partner: Tensor

    def of(self, values: Tensor) -> Tensor:
        """Blend (B, ...) values."""
        return self.share * values + (1 - self.share) * values[self.partner]

    def touches(self, column: int | None) -> bool:
        """Tell whether a head, of a modality or the fused one (None), sees what was blended."""
        return column is None or column == self.column


def draw(schema: Schema, training: Training, present: Tensor) -> list[Blend]:
    """Draw a blend for each modality that the options name.

    Note: a sample that lacks the modality, or whose partner does, is its own partner.

    Args:
        schema: modalities in column order.
        training: with `mixup`.
        present: (B, M).
    """
    blends = []
    for column, modality in enumerate(schema.modalities):
        width: float = by_modality(training.mixup, modality, 0.0)
        if width:
            share = float(torch.distributions.Beta(width, width).sample())
            here, rows = present[:, column], torch.arange(len(present), device=present.device)
            partner = torch.randperm(len(present)).to(present.device)
            blends.append(Blend(column, share, torch.where(here & here[partner], partner, rows)))
    return blends


def blended(network: Network, encoded: Encoded, blend: Blend) -> Encoded:
    """Return encoded samples after one modality was blended, right behind its encoder."""
    outputs = list(encoded.outputs)
    outputs[blend.column] = blend.of(outputs[blend.column])
    maps = None if encoded.maps is None else list(encoded.maps)
    if maps is not None:
        maps[blend.column] = blend.of(maps[blend.column])
    return network.continued(outputs, maps, encoded.present)
