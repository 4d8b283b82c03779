"""Parts of the network that no other test looks at by themselves."""

from __future__ import annotations

import torch
from torch import nn

from model.encoders.base import Module
from model.presence import where_present


class Normed(Module):
    """A layer and a batch norm, as in every picture encoder."""

    width = 3

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def test_a_lone_row_is_normalised_by_what_earlier_batches_were_like():
    torch.manual_seed(0)
    encoder = Normed()
    for _ in range(20):
        encoder(torch.randn(32, 4))
    norm = encoder.layers[1]
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    rows, present = torch.randn(5, 4), torch.tensor([False, True, False, False, False])
    found, _ = where_present(encoder, rows, present, by_maps=False)
    expected = encoder.eval()(rows[1:2])
    torch.testing.assert_close(found[1:2], expected)
    assert (found[1] != norm.bias).any(), "two equal rows would be normalised to nothing"
    assert torch.equal(norm.running_mean, mean)
    assert torch.equal(norm.running_var, variance)
    encoder.train()
    where_present(encoder, rows, present, by_maps=False)
    assert norm.training, "only the lone row is seen so"
