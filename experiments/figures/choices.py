"""What was chosen: contributions, modality weights, GRACE's criteria, and a map of the pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.curves import Curves
from experiments.figures import style
from experiments.statistics import half_width

MAP_POINTS = 1200


def draw_contributions(curves: Curves, path: Path) -> bool:
    """Draw each modality's mean contribution on the test set over rounds (BMMAL Fig. 2, 3)."""
    names = [name for name in curves.schema.names if f"contribution:{name}" in curves.values]
    if not names:
        return False
    drawn = style.lines(curves.contenders)
    with style.figure(path, 1, len(names), 3.5, sharey=True) as (picture, axes):
        for panel, name in zip(axes[0], names, strict=True):
            grid = curves.values[f"contribution:{name}"]
            for contender, line in drawn.items():
                mean = grid[curves.contenders.index(contender)].mean(axis=0)
                panel.plot(curves.labels, mean, label=style.short(contender), **line.plot())
            panel.axhline(1 / len(names), color="black", linewidth=0.6, linestyle=":")
            panel.set(title=name, xlabel="labels")
        axes[0, 0].set_ylabel("contribution to the prediction")
        style.legend_below(picture, axes[0, 0])
    return True


def draw_weights(curves: Curves, path: Path) -> bool:
    """Draw the weaker modality's mean weight in each chosen subset (BMMAL Fig. 6)."""
    modalities = curves.by_strength()
    if len(modalities) < 2 or f"chosen:weight:{modalities[-1]}" not in curves.values:
        return False
    weak = modalities[-1]
    chosen = curves.values[f"chosen:weight:{weak}"][:, :, :-1]
    pool = curves.values[f"pool:weight:{weak}"][:, :, :-1]
    gap = (chosen - pool).mean(axis=2)
    order = np.argsort(gap.mean(axis=1))
    drawn = style.lines(curves.contenders)
    with style.figure(path, 1, 2, 3.9, width_ratios=[1.15, 1]) as (picture, axes):
        over, overall = axes[0]
        for contender, line in drawn.items():
            mean = chosen[curves.contenders.index(contender)].mean(axis=0)
            over.plot(curves.labels[:-1], mean, label=style.short(contender), **line.plot())
        over.set(title=f"weight of {weak} in the chosen tasks", xlabel="labels before the choice")
        widths = half_width(gap, axis=1)
        for place, row in enumerate(order):
            mean = gap[row].mean()
            overall.plot([mean - widths[row], mean + widths[row]], [place, place], color="#0072B2")
            overall.plot(mean, place, "o", color="#0072B2", markersize=4)
        overall.axvline(0, color="black", linewidth=0.8)
        overall.set_yticks(
            range(len(order)), [style.short(curves.contenders[row]) for row in order], fontsize=7
        )
        overall.set(title="against the pool it was chosen from", xlabel="difference in weight")
        style.legend_below(picture, over)
    return True


def draw_criteria(curves: Curves, path: Path) -> bool:
    """Draw what GRACE's score is made of, in the chosen tasks and in the pool, over rounds."""
    kinds = {"eased": "alpha x easiness", "worth": "informativeness x representativeness"}
    if "chosen:worth" not in curves.values:
        return False
    worth = curves.values["chosen:worth"]
    rows = [row for row in range(len(worth)) if np.isfinite(worth[row]).any()]
    with style.figure(path, 1, len(rows), 3.4, sharey=True) as (picture, axes):
        for panel, row in zip(axes[0], rows, strict=True):
            for (kind, name), colour in zip(kinds.items(), ("#E69F00", "#0072B2"), strict=True):
                for where, dash in (("chosen", "-"), ("pool", ":")):
                    grid = curves.values.get(f"{where}:{kind}")
                    if grid is None or not np.isfinite(grid[row]).any():
                        continue
                    mean = grid[row, :, :-1].mean(axis=0)
                    label = f"{name}, {where}"
                    panel.plot(curves.labels[:-1], mean, dash, color=colour, label=label)
            panel.set_title(style.short(curves.contenders[row]), fontsize=9)
            panel.set(xlabel="labels")
        axes[0, 0].set_ylabel("mean, scaled to [0, 1]")
        fullest = max(axes[0], key=lambda panel: len(panel.get_legend_handles_labels()[1]))
        style.legend_below(picture, fullest, 2)
    return True


def draw_map(
    curves: Curves, features: npt.NDArray, rows: npt.NDArray[np.int64], path: Path
) -> None:
    """Draw where the first batch of each contender lies in the pool (GRACE Fig. 8).

    Args:
        curves: the replay.
        features: (P, D) fused features of the first seed's pool under its initial model.
        rows: (P,) their rows.
        path: of the picture.
    """
    points = flat(features)
    names = list(style.lines(curves.contenders))
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    with style.figure(path, lines, columns, 0.4 + 2.35 * lines) as (_, axes):
        for panel, name in zip(axes.ravel(), names, strict=False):
            chosen = np.isin(rows, curves.cells[name, curves.seeds[0]][0].batch)
            _scatter(panel, points, chosen, style.lines(curves.contenders)[name].colour)
            panel.set_title(style.short(name), fontsize=9)
        style.hide_unused(axes, len(names))


def _scatter(panel: Any, points: npt.NDArray, chosen: npt.NDArray, colour: str) -> None:
    panel.scatter(*points[~chosen].T, s=3, color="#c8c8c8", linewidths=0)
    panel.scatter(*points[chosen].T, s=16, color=colour, edgecolors="white", linewidths=0.4)
    panel.set(xticks=[], yticks=[])
    for side in panel.spines.values():
        side.set_visible(False)
    panel.grid(visible=False)


def flat(features: npt.NDArray) -> npt.NDArray:
    """Return (P, 2) coordinates by t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    small = PCA(min(30, *features.shape), random_state=0).fit_transform(features)
    perplexity = min(30.0, (len(small) - 1) / 3)
    # Its threads wait for each other in busy loops: one is faster on a machine that is shared.
    with threadpool_limits(1):
        return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(small)
