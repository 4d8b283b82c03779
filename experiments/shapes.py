"""Does an order save labels where people draw boxes, and only which labels occur is learned?

`python -m experiments.shapes --out FOLDER` draws pictures with shapes in them, some kinds rare; a
box around a shape is its label. It replays labelling them in the order of `auto` and at random, and
prints how well is known which shapes occur in a picture, and how many labels the order saves.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from experiments import running
from experiments.curves import load
from experiments.dataset import Dataset
from experiments.statistics import area, interval, labels_saved, p_value
from model.presets import preset
from model.sample import Reference
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

OFTEN = {"square": 0.5, "disc": 0.3, "triangle": 0.15, "cross": 0.06, "ring": 0.04}
"""In what share of the pictures a shape occurs."""
SIDE = 96
BATCH, ROUNDS = 20, 8


@dataclass(frozen=True)
class Box:
    """A labelled box, in pixels."""

    label: str
    left: int
    top: int
    size: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom."""
        return self.left, self.top, self.left + self.size, self.top + self.size


def boxes_of(number: int) -> list[Box]:
    """Return what a person would draw around in a picture; the same every time."""
    rng = np.random.default_rng([7, number])
    there = [label for label, share in OFTEN.items() if rng.random() < share]
    sizes = rng.integers(16, 36, len(there))
    places = [rng.integers(0, SIDE - size, 2) for size in sizes]
    return [
        Box(label, int(left), int(top), int(size))
        for label, (left, top), size in zip(there, places, sizes, strict=True)
    ]


def picture(number: int) -> bytes:
    """Return the picture around its boxes: shapes in any colour on a noisy ground."""
    rng = np.random.default_rng([8, number])
    image = Image.fromarray(rng.integers(0, 120, (SIDE, SIDE, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for box in boxes_of(number):
        colour = tuple(int(value) for value in rng.integers(120, 256, 3))
        _draw(draw, box, colour)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _draw(draw: ImageDraw.ImageDraw, box: Box, colour: tuple[int, ...]) -> None:
    left, top, right, bottom = box.corners
    across, down = (left + right) / 2, (top + bottom) / 2
    if box.label == "square":
        draw.rectangle(box.corners, fill=colour)
    elif box.label == "disc":
        draw.ellipse(box.corners, fill=colour)
    elif box.label == "triangle":
        draw.polygon([(left, bottom), (right, bottom), (across, top)], fill=colour)
    elif box.label == "ring":
        draw.ellipse(box.corners, outline=colour, width=4)
    else:
        draw.line([(left, down), (right, down)], fill=colour, width=5)
        draw.line([(across, top), (across, bottom)], fill=colour, width=5)


def dataset(size: int, test: int) -> Dataset:
    """Return pictures with the question which labels their boxes have."""
    target = Target("label", TargetKind.MULTILABEL, tuple(OFTEN))
    numbers = range(size + test)
    occur = [{box.label for box in boxes_of(number)} for number in numbers]
    return Dataset(
        "shapes",
        "Shapes in pictures, a box around each",
        tuple({"image": Reference(f"shapes {n}", partial(picture, n))} for n in numbers),
        {"label": np.array([[float(label in said) for label in OFTEN] for said in occur])},
        Schema((Modality("image", ModalityKind.IMAGE, "image"),), (target,)),
        np.arange(size),
        np.arange(size, size + test),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line per strategy, and what the order saves."""
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--size", type=int, default=600, help="pictures to label")
    said.add_argument("--test", type=int, default=400, help="pictures that only measure")
    said.add_argument("--seeds", type=int, default=6, help="repetitions")
    said.add_argument("--workers", type=int, default=None, help="processes")
    said.add_argument("--out", type=Path, required=True, help="folder; run again, it goes on")
    options = said.parse_args(argv)
    running.prepare(
        dataset(options.size, options.test),
        ("auto", "random"),
        preset("auto"),
        options.out,
        initial=BATCH,
        initial_strategy="random",
        batch=BATCH,
        rounds=ROUNDS,
        seeds=options.seeds,
    )
    running.run(options.out, workers=options.workers)
    print(said_of(options.out))


def said_of(folder: Path) -> str:
    """Return what a finished replay says, in lines."""
    curves = load(folder)
    values = {
        name: curves.of("multimodal")[curves.contenders.index(name)] for name in curves.contenders
    }
    lines = [f"{curves.metric} of which labels occur, {len(curves.seeds)} seeds"]
    lines += ["labels   " + " ".join(f"{count:5}" for count in curves.labels)]
    lines += [
        f"{name:8} " + " ".join(f"{v:5.3f}" for v in found.mean(axis=0))
        for name, found in values.items()
    ]
    gaps = area(values["auto"], curves.labels) - area(values["random"], curves.labels)
    gap = interval(gaps)
    saved = labels_saved(values["auto"], values["random"], curves.labels, curves.sign)
    lines += [
        f"auto over random, mean over the curve: {gap.mean:+.3f} "
        f"({gap.low:+.3f} to {gap.high:+.3f}), p = {p_value(gaps):.1e}",
        f"labels saved until random's last: {saved.saved:.0f} of {curves.labels[-1]} "
        f"({saved.low:.0f} to {saved.high:.0f})",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
