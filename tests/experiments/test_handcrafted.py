"""The frozen features of the named sets, on pictures small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.handcrafted import ORIENTATIONS, colours, oriented_gradients, pooled


def test_a_ramp_has_one_orientation_and_blocks_of_length_one() -> None:
    across = np.tile(np.arange(8) * 10, (8, 1))[None]
    found = oriented_gradients(across, 4)
    assert found.shape == (1, 36)
    cells = found.reshape(4, ORIENTATIONS)
    assert cells[:, 0] == pytest.approx([0.5] * 4), "all of it to the right"
    assert not cells[:, 1:].any()
    down = oriented_gradients(across.transpose(0, 2, 1), 4).reshape(4, ORIENTATIONS)
    # A right angle lies half-way between the fifth and the sixth of nine orientations.
    assert down[:, 4:6] == pytest.approx(np.full((4, 2), 8**-0.5))
    assert np.delete(down, [4, 5], axis=1).max() == 0


def test_blocks_are_cells_beside_and_below_each_other() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (2, 12, 12))
    found = oriented_gradients(pictures, 4)
    assert found.shape == (2, 2 * 2 * 36)
    assert np.linalg.norm(found.reshape(2, 4, 36), axis=2) == pytest.approx(1, abs=1e-4)
    # A block is normalised by itself; within one, cells keep their proportions in the next.
    blocks = found[0].reshape(2, 2, 4, ORIENTATIONS)
    for one, other in (
        (blocks[0, 0, 2:], blocks[1, 0, :2]),  # below
        (blocks[0, 0, 1::2], blocks[0, 1, ::2]),  # beside
    ):
        assert one * other.max() == pytest.approx(other * one.max(), rel=1e-3, abs=1e-5)
    turned = oriented_gradients(255 - pictures, 4)
    assert turned == pytest.approx(found, abs=1e-4), "light on dark is dark on light"


def test_colours_are_means_deviations_and_a_histogram() -> None:
    picture = np.zeros((1, 4, 4, 3), np.uint8)
    picture[0, :2, :2] = (255, 0, 0)
    picture[0, :2, 2] = (0, 255, 0)
    found = colours(picture, 2)[0]
    assert found.shape == (6 * 4 + 64,)
    mean, deviation, histogram = found[:12].reshape(4, 3), found[12:24].reshape(4, 3), found[24:]
    assert mean.tolist() == [[1, 0, 0], [0, 0.5, 0], [0, 0, 0], [0, 0, 0]]
    assert deviation.tolist() == [[0, 0, 0], [0, 0.5, 0], [0, 0, 0], [0, 0, 0]]
    assert {int(place): float(histogram[place]) for place in histogram.nonzero()[0]} == {
        **{0: pytest.approx((10 / 16) ** 0.5), 3 * 16: pytest.approx(0.5)},
        3 * 4: pytest.approx((2 / 16) ** 0.5),
    }
    both = colours(np.concatenate([np.full_like(picture, 255), picture]), 2)
    assert both[1].tolist() == found.tolist(), "each picture is counted by itself"


def test_pooled_pictures_are_means_over_tiles_scaled() -> None:
    tiles = np.array([[1.0, 3], [5, 7], [9, 11]])
    noise = np.tile([[-1, 1], [1, -1]], (3, 4))
    found = pooled((np.kron(tiles, np.ones((2, 4))) + noise)[None], 3, 2)[0]
    deviation = np.sqrt(35 / 3)
    assert found == pytest.approx((tiles.ravel() - 6) / (deviation + 1e-3), abs=1e-5)
    silent = pooled(np.ones((2, 6, 8)), 3, 2)
    assert silent.tolist() == [[0.0] * 6] * 2
