"""The synthetic detection project: boxes lie around their shapes, and a replay is told."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from experiments import shapes


def test_a_box_lies_around_its_shape_and_rare_shapes_are_rare() -> None:
    counts = dict.fromkeys(shapes.OFTEN, 0)
    for number in range(200):
        boxes = shapes.boxes_of(number)
        assert boxes == shapes.boxes_of(number)
        pixels = np.asarray(Image.open(io.BytesIO(shapes.picture(number))))
        outside = np.ones(pixels.shape[:2], bool)
        for box in boxes:
            counts[box.label] += 1
            left, top, right, bottom = box.corners
            edge = 4  # a line is as wide
            outside[max(0, top - edge) : bottom + edge, max(0, left - edge) : right + edge] = False
            assert pixels[top : bottom + 1, left : right + 1].max() >= 120, "it is in its box"
        assert pixels[outside].max() < 120, "nothing is drawn outside of the boxes"
    shares = [counts[name] / 200 for name in shapes.OFTEN]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("label", "centre", "corner", "edge", "share"),
    [
        ("square", True, True, True, 1.0),
        ("disc", True, False, True, 0.785),
        ("triangle", True, False, False, 0.5),
        ("ring", False, False, True, 0.33),
        ("cross", True, False, True, 0.3),
    ],
)
def test_each_shape_is_what_it_is_called(
    label: str, centre: bool, corner: bool, edge: bool, share: float
) -> None:
    image = Image.new("L", (41, 41))
    shapes._draw(ImageDraw.Draw(image), shapes.Box(label, 4, 4, 32), 255)
    drawn = np.asarray(image)[4:37, 4:37] > 0
    assert (drawn[16, 16], drawn[0, 0], drawn[16, 1]) == (centre, corner, edge)
    assert drawn.mean() == pytest.approx(share, abs=0.07)


def test_a_small_replay_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--size", "180", "--test", "30", "--seeds", "2", "--workers", "1"]
    shapes.main([*sizes, "--out", str(tmp_path / "shapes")])
    said = capsys.readouterr().out
    assert "auto over random, mean over the curve" in said
    assert "labels saved until random's last" in said
