"""Learning curves, differences to random, and areas under the curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator

from experiments.curves import Curves
from experiments.figures import style
from experiments.statistics import area, half_width, interval

_NAMES = {
    "macro_accuracy": "accuracy (mean over classes)",
    "macro_f1": "F1 (mean over labels)",
    "mae": "mean absolute error",
}


def axis_name(metric: str) -> str:
    """Return a metric's name for people."""
    return _NAMES[metric.partition(":")[0]]


def draw_curves(curves: Curves, path: Path) -> None:
    """Draw mean and 90% interval of each head over the number of labels."""
    heads = list(curves.heads)
    drawn = style.lines(curves.contenders)
    with style.figure(path, 1, len(heads), 3.9) as (picture, axes):
        for panel, head in zip(axes[0], heads, strict=True):
            values = curves.of(head)
            for row, name in enumerate(curves.contenders):
                if name not in drawn:
                    mean = values[row].mean(axis=0)
                    panel.plot(curves.labels, mean, color="#bbbbbb", linewidth=0.7, zorder=1)
            for name, line in drawn.items():
                mine = values[curves.contenders.index(name)]
                mean, width = mine.mean(axis=0), half_width(mine)
                panel.fill_between(
                    curves.labels, mean - width, mean + width, color=line.colour, alpha=0.12, lw=0
                )
                panel.plot(curves.labels, mean, label=style.short(name), **line.plot())
            panel.set(title=_title(head), xlabel="labels", ylabel=axis_name(curves.heads[head]))
            _fit_height(panel, values.mean(axis=1))
        if len(drawn) < len(curves.contenders):
            axes[0, 0].plot([], [], color="#bbbbbb", linewidth=0.9, label="others")
        style.legend_below(picture, axes[0, 0], 8)


def _fit_height(panel: Any, means: npt.NDArray) -> None:
    """Let the means fill the panel; wide intervals of early rounds are cut off."""
    low, high = float(means.min()), float(means.max())
    margin = 0.08 * (high - low) or 0.01
    panel.set_ylim(low - margin, high + margin)


def _title(head: str) -> str:
    return "all modalities" if head == "multimodal" else f"{head} alone"


def draw_gains(curves: Curves, path: Path) -> None:
    """Draw, one small panel per contender, the paired difference to the reference."""
    base = curves.contenders[curves.reference]
    others = [name for name in curves.contenders if name != base]
    values, sign = curves.of("multimodal"), curves.sign
    columns = min(5, max(1, len(others)))
    rows = -(-len(others) // columns)
    height = 0.7 + 1.75 * rows
    with style.figure(path, rows, columns, height, sharex=True, sharey=True) as (picture, axes):
        for panel, name in zip(axes.ravel(), others, strict=False):
            gap = sign * (values[curves.contenders.index(name)] - values[curves.reference])
            mean, width = gap.mean(axis=0), half_width(gap)
            panel.axhline(0, color="black", linewidth=0.8)
            panel.fill_between(
                curves.labels, mean - width, mean + width, color="#56B4E9", alpha=0.4
            )
            panel.plot(curves.labels, mean, color="#0072B2", marker="o", markersize=3)
            panel.set_title(style.short(name), fontsize=9)
        style.hide_unused(axes, len(others))
        picture.supxlabel("labels", fontsize=9)
        picture.supylabel(f"better than {base} by", fontsize=9)


def draw_areas(curves: Curves, path: Path) -> None:
    """Draw the paired difference in area under the curve to the reference, per head."""
    heads = list(curves.heads)
    base = curves.contenders[curves.reference]
    order = [
        row
        for row in np.argsort(curves.sign * area(curves.of("multimodal"), curves.labels).mean(1))
        if row != curves.reference
    ]
    height = 1.2 + 0.27 * len(order)
    with style.figure(path, 1, len(heads), height, sharey=True) as (picture, axes):
        for panel, head in zip(axes[0], heads, strict=True):
            areas = curves.head_sign(head) * area(curves.of(head), curves.labels)
            for place, row in enumerate(order):
                found = interval(areas[row] - areas[curves.reference])
                sure = found.excludes_zero
                colour = ("#0072B2" if found.mean > 0 else "#D55E00") if sure else style.GREY
                panel.plot([found.low, found.high], [place, place], color=colour, linewidth=2)
                panel.plot(
                    found.mean, place, "o", color=colour, markersize=6, mfc=colour if sure else "w"
                )
            panel.axvline(0, color="black", linewidth=0.8)
            panel.set_title(_title(head))
            panel.xaxis.set_major_locator(MaxNLocator(4))
            panel.grid(axis="y", visible=False)
        axes[0, 0].set_yticks(
            range(len(order)), [style.short(curves.contenders[row]) for row in order]
        )
        picture.supxlabel(
            f"mean difference to {base} over all rounds, right is better "
            "(filled: the 90% interval excludes 0)",
            fontsize=9,
        )
