"""Figures of BMMAL and GRACE that no report has: by the papers' own definitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.curves import Curves, Grid
from experiments.figures import style
from experiments.figures.choices import flat

_POLARITY = {"negative": "#0072B2", "neutral": "#000000", "positive": "#E69F00"}


def draw_over_rounds(
    curves: Curves, panels: Mapping[str, Grid], path: Path, ylabel: str, *, choices: bool = False
) -> None:
    """Draw means over seeds against the number of labels, one panel per quantity.

    Args:
        curves: the replay.
        panels: title -> (S, E, R).
        path: of the picture.
        ylabel: what is drawn.
        choices: whether it is of what was chosen, of which the last round has none.
    """
    drawn = style.lines(curves.contenders)
    labels = curves.labels[:-1] if choices else curves.labels
    with style.figure(path, 1, len(panels), 3.9) as (picture, axes):
        for panel, (title, grid) in zip(axes[0], panels.items(), strict=True):
            for name, line in drawn.items():
                mean = means(grid[curves.contenders.index(name)][:, : len(labels)])
                panel.plot(labels, mean, label=style.short(name), **line.plot())
            panel.set(title=title, xlabel="labels")
        axes[0, 0].set_ylabel(ylabel)
        style.legend_below(picture, axes[0, 0])


def means(grid: npt.NDArray) -> npt.NDArray[np.float64]:
    """Return means over seeds (E, R) -> (R,) of what is no NaN; NaN where there is nothing."""
    known = np.isfinite(grid)
    count = known.sum(axis=0)
    total = np.where(known, grid, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def draw_class_gains(gains: Mapping[str, Mapping[str, float]], path: Path, against: str) -> None:
    """Draw each modality's gain within some classes as bars (BMMAL Fig. 8).

    Args:
        gains: modality -> class -> difference in its own accuracy.
        path: of the picture.
        against: what is compared.
    """
    with style.figure(path, 1, len(gains), 3.9, sharey=True) as (_, axes):
        for panel, (modality, found) in zip(axes[0], gains.items(), strict=True):
            colours = ["#0072B2" if value >= 0 else "#D55E00" for value in found.values()]
            panel.barh(range(len(found)), list(found.values()), color=colours)
            panel.axvline(0, color="black", linewidth=0.8)
            panel.set_yticks(range(len(found)), list(found), fontsize=7)
            panel.set(title=f"{modality} alone", xlabel=against)
            panel.invert_yaxis()


def draw_rounds(
    curves: Curves,
    features: npt.NDArray,
    rows: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    path: Path,
) -> None:
    """Draw what each strategy chose in all rounds, coloured by polarity (GRACE Fig. 8).

    Args:
        curves: the replay.
        features: (P, D) fused features of the first seed's pool under its initial model.
        rows: (P,) their rows.
        values: (P,) labels, from -1 to 1.
        path: of the picture.
    """
    points = flat(features)
    polarity = np.array(["negative", "neutral", "positive"])[np.sign(values).astype(int) + 1]
    names = list(style.lines(curves.contenders))
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    with style.figure(path, lines, columns, 0.8 + 2.35 * lines) as (picture, axes):
        for panel, name in zip(axes.ravel(), names, strict=False):
            chain = curves.cells[name, curves.seeds[0]]
            chosen = np.isin(rows, [row for cell in chain for row in cell.batch])
            _scatter(panel, points, chosen, polarity)
            panel.set_title(style.short(name), fontsize=9)
        style.hide_unused(axes, len(names))
        style.legend_below(picture, axes[0, 0])


def _scatter(panel: Any, points: npt.NDArray, chosen: npt.NDArray, polarity: npt.NDArray) -> None:
    panel.scatter(*points[~chosen].T, s=3, color="#d0d0d0", linewidths=0)
    for name, colour in _POLARITY.items():
        some = chosen & (polarity == name)
        panel.scatter(*points[some].T, s=10, color=colour, linewidths=0, label=name)
    panel.set(xticks=[], yticks=[])
    panel.grid(visible=False)
