"""Pairwise wins (BMMAL Fig. 5) and class-wise gains (BMMAL Fig. 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.curves import Curves
from experiments.figures import style
from experiments.statistics import Array, wins


def win_tables(curves: Curves) -> dict[str, Array]:
    """Return "all modalities", "stronger modality" and "weaker modality" -> (S, S) wins."""
    tables = {"all modalities": wins(curves.of("multimodal"), curves.sign)}
    modalities = curves.by_strength()
    if len(modalities) > 1:
        for what, name in (("stronger", modalities[0]), ("weaker", modalities[-1])):
            tables[f"{what} modality"] = wins(curves.of(name), curves.head_sign(name))
    return tables


def draw_wins(
    tables: Mapping[str, Array],
    contenders: Sequence[str],
    path: Path,
    *,
    names: Mapping[str, str] | None = None,
    most: float = 1.0,
) -> None:
    """Draw win tables side by side; a row's contender beats the column's. Last, column averages.

    Args:
        tables: title -> (S, S), or (S, S) sums over settings.
        contenders: S names.
        path: of the picture.
        names: title -> longer title.
        most: the largest possible value, i.e. the number of settings.
    """
    size = len(contenders)
    labels = [style.short(name) for name in contenders]
    height = max(2.6, 0.9 + 0.075 * max(map(len, labels)) + 0.21 * (size + 1))
    with style.figure(path, 1, len(tables), height) as (picture, axes):
        for panel, (title, table) in zip(axes[0], tables.items(), strict=True):
            table = np.vstack([table, table.mean(axis=0)])
            image = panel.imshow(table, cmap="Blues", vmin=0, vmax=most, aspect="auto")
            panel.grid(visible=False)
            panel.set_title((names or {}).get(title, title), fontsize=9)
            panel.set_xticks(range(size), labels, rotation=90, fontsize=7)
            rows = [*labels, "column average"] if panel is axes[0, 0] else [""] * (size + 1)
            panel.set_yticks(range(size + 1), rows)
            panel.tick_params(axis="y", labelsize=7)
            _numbers(panel, table, most)
        picture.colorbar(image, ax=axes[0].tolist(), label="row beats column")


def _numbers(panel: Any, table: Array, most: float) -> None:
    for (row, column), value in np.ndenumerate(table):
        if value >= 0.005:
            colour = "white" if value > 0.55 * most else "black"
            text = f"{value:.1f}".removeprefix("0") if value < 1 else f"{value:.1f}"
            panel.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)


def draw_classes(curves: Curves, path: Path) -> bool:
    """Draw each class's accuracy against the reference, mean over all rounds after the first.

    Returns:
        False if there are no classes to draw.
    """
    classes = [name for name in curves.values if name.startswith("class:")]
    if not classes:
        return False
    grid = np.stack([curves.values[name] for name in classes], axis=-1)[:, :, 1:]
    gain = np.nanmean(grid - grid[curves.reference], axis=(1, 2))
    rows = [row for row in range(len(curves.contenders)) if row != curves.reference]
    limit = max(0.01, float(np.abs(gain).max()))
    with style.figure(path, 1, 1, 1.3 + 0.24 * len(rows)) as (picture, axes):
        panel = axes[0, 0]
        image = panel.imshow(gain[rows], cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
        panel.grid(visible=False)
        panel.set_xticks(range(len(classes)), [name.removeprefix("class:") for name in classes])
        panel.set_yticks(range(len(rows)), [style.short(curves.contenders[row]) for row in rows])
        for (row, column), value in np.ndenumerate(gain[rows]):
            colour = "white" if abs(value) > 0.7 * limit else "black"
            text = f"{100 * value:+.1f}"
            panel.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        base = curves.contenders[curves.reference]
        picture.colorbar(image, ax=panel, label=f"accuracy minus {base}'s")
        panel.set_title(f"points of accuracy against {base}, by class")
    return True
