"""A curve with its intervals, as the points of a drawing that needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 240, 48, 28


@dataclass(frozen=True)
class Curve:
    """A drawing, in units of its view box.

    Attributes:
        line: "x,y x,y ..." of the values.
        band: the same of a polygon around the intervals.
        dots: (x, y, text) for each model.
        across: (y, label) of the lines that mark values.
        along: (x, label) of the numbers of labels.
    """

    line: str
    band: str
    dots: list[tuple[float, float, str]]
    across: list[tuple[float, str]]
    along: list[tuple[float, str]]


def curve(points: Sequence[tuple[int, float, float, float]], *, share: bool) -> Curve | None:
    """Draw (labels, value, low, high), at least one.

    Args:
        points: in the order of the rounds.
        share: whether values are shares, told as percentages.
    """
    if not points:
        return None
    most = max(p[0] for p in points)
    bottom = 0.0 if not share else max(0.0, min(p[2] for p in points) // 0.2 * 0.2)
    top = 1.0 if share else max(p[3] for p in points) or 1.0
    inner = (WIDTH - LEFT - 12, HEIGHT - BOTTOM - 12)

    def x(labels: float) -> float:
        return round(LEFT + inner[0] * labels / most, 1)

    def y(value: float) -> float:
        return round(12 + inner[1] * (1 - (value - bottom) / (top - bottom)), 1)

    def told(value: float) -> str:
        return f"{100 * value:.0f}%" if share else f"{value:.3g}"

    upper = [(x(p[0]), y(p[3])) for p in points]
    lower = [(x(p[0]), y(p[2])) for p in reversed(points)]
    return Curve(
        " ".join(f"{x(p[0])},{y(p[1])}" for p in points),
        " ".join(f"{a},{b}" for a, b in upper + lower),
        [
            (x(p[0]), y(p[1]), f"{p[0]} labels: {told(p[1])} ({told(p[2])} to {told(p[3])})")
            for p in points
        ],
        [(y(v), told(v)) for v in (bottom + (top - bottom) * i / 4 for i in range(5))],
        [(x(most * i / 4), f"{most * i / 4:.0f}") for i in range(5)],
    )


def figures(rounds: Sequence[dict[str, Any]]) -> Curve | None:
    """Draw the main figure of the first question over a project's rounds."""
    told = [(r["labels"], r["figure"]) for r in rounds if r["figure"] and r["kind"] == "train"]
    if not told:
        return None
    name = told[-1][1]["name"]
    points = [(n, f["value"], f["low"], f["high"]) for n, f in told if f["name"] == name]
    return curve(points, share=name != "mae")
