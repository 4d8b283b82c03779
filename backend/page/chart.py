"""Curves over the number of labels, as the points of a drawing that needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 240, 48, 28, 12, 12
STYLES = 6
"""Ways to draw a line that the style sheet knows; the next one looks like the first."""


@dataclass(frozen=True)
class Point:
    """A value after a number of labels, with the ends of its interval where it has one."""

    along: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """One series of a chart, in units of its view box.

    Attributes:
        name: of what it shows.
        style: number of the way in which it is drawn.
        line: "x,y x,y ..." of the values.
        band: the same of a polygon around the intervals; "" without.
        dots: (x, y, text) for each value.
    """

    name: str
    style: int
    line: str
    band: str
    dots: list[tuple[float, float, str]]


@dataclass(frozen=True)
class Chart:
    """A drawing.

    Attributes:
        lines: its series.
        across: (y, label) of the lines that mark values.
        along: (x, label) of the places along it.
        told: all of it in words.
    """

    lines: list[Line]
    across: list[tuple[float, str]]
    along: list[tuple[float, str]]
    told: str


@dataclass(frozen=True)
class Scale:
    """How values are placed and told.

    Attributes:
        low: the value at the bottom.
        high: at the top.
        percent: whether values are shares, told as percentages.
        most: the largest number along.
        unit: of what is along, in words.
    """

    low: float
    high: float
    percent: bool
    most: float
    unit: str = "labels"

    def x(self, along: float) -> float:
        """Return the place of a number along."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * along / (self.most or 1), 1)

    def y(self, value: float) -> float:
        """Return the place of a value, at an end where it lies outside."""
        share = (value - self.low) / (self.high - self.low or 1)
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(1.0, max(0.0, share))), 1)

    def told(self, value: float) -> str:
        """Say a value."""
        return f"{100 * value:.0f}%" if self.percent else f"{value:.3g}"

    def along(self, along: float) -> str:
        """Say a number along."""
        return f"{100 * along:.0f}%" if self.most <= 1 else f"{along:.0f}"


def chart(series: Sequence[tuple[str, Sequence[Point]]], scale: Scale) -> Chart | None:
    """Draw series of points; None where there is no point.

    Args:
        series: names and points, in order along.
        scale: of both axes.
    """
    series = [(name, points) for name, points in series if points]
    if not series:
        return None
    lines = [_line(name, points, i, scale) for i, (name, points) in enumerate(series)]
    quarters = [i / 4 for i in range(5)]
    values = [scale.low + (scale.high - scale.low) * part for part in quarters]
    return Chart(
        lines,
        [(scale.y(value), scale.told(value)) for value in values],
        [(scale.x(scale.most * part), scale.along(scale.most * part)) for part in quarters],
        ". ".join(f"{one.name}: {'; '.join(dot[2] for dot in one.dots)}" for one in lines),
    )


def _line(name: str, points: Sequence[Point], number: int, scale: Scale) -> Line:
    sure = [(p.along, p.low, p.high) for p in points if p.low is not None and p.high is not None]
    around = [(x, high) for x, _, high in sure] + [(x, low) for x, low, _ in reversed(sure)]
    return Line(
        name,
        number % STYLES,
        " ".join(f"{scale.x(p.along)},{scale.y(p.value)}" for p in points),
        " ".join(f"{scale.x(x)},{scale.y(y)}" for x, y in around),
        [(scale.x(p.along), scale.y(p.value), _told(p, scale)) for p in points],
    )


def _told(point: Point, scale: Scale) -> str:
    text = f"{scale.along(point.along)} {scale.unit}: {scale.told(point.value)}"
    if point.low is None or point.high is None:
        return text
    return f"{text} ({scale.told(point.low)} to {scale.told(point.high)})"
