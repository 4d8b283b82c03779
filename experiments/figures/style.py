"""One look for all figures: colour-blind-safe (Okabe & Ito), readable in grey and on paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from experiments.plan import RANDOM

DPI = 140
WIDTH = 10.0
GREY = "#6b6b6b"
LONG_NAME = 20

_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_PREFERRED = ("grace", "bmmal", "badge", "entropy", "coreset")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Line:
    """How one contender is drawn everywhere."""

    colour: str
    marker: str
    dash: str = "-"

    def plot(self) -> dict[str, Any]:
        """Return the keyword arguments of `Axes.plot`."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.dash,
            "markersize": 4,
            "linewidth": 1.6,
        }


def lines(contenders: Sequence[str]) -> dict[str, Line]:
    """Choose the contenders drawn in colour: random in black, then the best known, then others."""
    known = [name for name in _PREFERRED if name in contenders]
    others = [name for name in contenders if name not in (*known, RANDOM)]
    # Variants of one strategy are what a run with options is about: they come before the rest.
    others.sort(key=lambda name: ":" not in name)
    chosen = (known + others)[: len(_COLOURS)]
    found = {name: Line(_COLOURS[place], _MARKERS[place]) for place, name in enumerate(chosen)}
    if RANDOM in contenders:
        found[RANDOM] = Line("#000000", "x", "--")
    return found


def short(name: str) -> str:
    """Return a contender's name for figures: its options without their keys."""
    strategy, _, options = name.partition(":")
    values = (part.partition("=")[2] for part in filter(None, options.split("+")))
    return " ".join([strategy, *values])


@contextmanager
def figure(path: Path, rows: int, columns: int, height: float, **kwargs: Any) -> Iterator[Any]:
    """Yield (figure, 2-D array of axes) and write the picture when the body is done."""
    with mpl.rc_context(_RC):
        picture, axes = plt.subplots(
            rows, columns, figsize=(WIDTH, height), dpi=DPI, squeeze=False, **kwargs
        )
        try:
            yield picture, axes
            picture.savefig(path)
        finally:
            plt.close(picture)


def hide_unused(axes: Any, used: int) -> None:
    """Remove the panels of a grid that nothing was drawn into."""
    columns = axes.shape[1]
    for place in range(used, axes.size):
        axes.flat[place].axis("off")
        if place >= columns:  # The panel above is now the lowest of its column.
            axes.flat[place - columns].tick_params(labelbottom=True)


def legend_below(picture: Any, panel: Any, columns: int = 7) -> None:
    """Put one legend for all panels under the figure."""
    handles, names = panel.get_legend_handles_labels()
    if max(map(len, names)) > LONG_NAME:
        columns = min(columns, 4)
    picture.legend(handles, names, loc="outside lower center", ncols=min(columns, len(names)))
