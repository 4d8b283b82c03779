"""Which pictures a report of a replay holds, and what each of them shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments import curves
from experiments.curves import Curves
from experiments.figures import choices, learning, matrices, style
from experiments.page import Section
from experiments.replay import INITIAL, initial_rows, pool_rows
from model import checkpoint
from model.look import look
from strategies.pool import Need

Drawing = tuple[str, str, Callable[[Path], object], str]
"""Title, file name, what draws it (False: nothing to see), caption."""


def pictures(found: Curves, folder: Path) -> list[Section]:
    """Draw what a replay has to show into its folder, and return the sections that hold it."""
    drawings: list[Drawing] = [
        (
            "Learning curves",
            "curves",
            lambda path: learning.draw_curves(found, path),
            "Mean over seeds with the 90% interval of the mean; every head on the test set.",
        ),
        *(_comparing(found) if len(found.contenders) > 1 else []),
        (
            "Contribution of each modality",
            "contributions",
            lambda path: choices.draw_contributions(found, path),
            "Mean Shapley share in the true class's probability on the test set (BMMAL Eq. 12; of "
            "several labels, in the prediction); dotted: balance.",
        ),
        (
            "How much the chosen tasks rest on the weaker modality",
            "weights",
            lambda path: choices.draw_weights(found, path),
            "BMMAL Eq. 14: 1 where both modalities contribute alike, small where the stronger one "
            "decides alone. Right: mean over rounds, minus the mean of the pool at that moment.",
        ),
        (
            "What GRACE's score is made of",
            "criteria",
            lambda path: choices.draw_criteria(found, path),
            "Score = alpha x easiness + informativeness x representativeness (GRACE Eq. 7). Solid: "
            "mean over the chosen tasks; dotted: over the pool.",
        ),
        (
            "Where the first batch lies",
            "map",
            lambda path: _draw_map(found, folder, path),
            "The pool of the first repetition as the initial model sees it (t-SNE of its fused "
            "features; near is alike); coloured: what each strategy chose first.",
        ),
    ]
    sections = []
    for title, stem, draw, caption in drawings:
        path = folder / f"{stem}.png"
        if draw(path) is not False:
            sections.append(Section(title, picture=path, caption=caption))
    return sections


def _comparing(found: Curves) -> list[Drawing]:
    """List the pictures that compare contenders with the reference."""
    base = found.contenders[found.reference]
    return [
        (
            "Against " + base,
            "gains",
            lambda path: learning.draw_gains(found, path),
            "Paired difference, all modalities; above zero is better. Band: the 90% interval.",
        ),
        (
            "All rounds in one number",
            "areas",
            lambda path: learning.draw_areas(found, path),
            "Paired difference in the mean height of the learning curve.",
        ),
        (
            "Who beats whom",
            "wins",
            lambda path: matrices.draw_wins(
                matrices.win_tables(found), found.contenders, path, names=_win_names(found)
            ),
            "Share of rounds in which the row beats the column by a two-sided paired t-test at 0.9 "
            "confidence (as BMMAL Fig. 5). Chance alone gives 0.05. A small column average is "
            "good.",
        ),
        (
            "Classes",
            "classes",
            lambda path: matrices.draw_classes(found, path),
            "Gain and loss by class (BMMAL Fig. 8), mean over all rounds after the first.",
        ),
    ]


def _win_names(found: Curves) -> dict[str, str]:
    modalities = found.by_strength()
    if len(modalities) < 2:
        return {}
    return {
        "stronger modality": f"{modalities[0]} alone (stronger)",
        "weaker modality": f"{modalities[-1]} alone (weaker)",
    }


def _draw_map(found: Curves, folder: Path, path: Path) -> None:
    data = curves.data_of(folder)
    seed = found.seeds[0]
    rows = np.setdiff1d(pool_rows(data, found.plan, seed), initial_rows(folder, seed))
    rows = _thinned(rows, found, seed)
    model = checkpoint.load(folder / INITIAL / f"seed-{seed}", device="cpu")
    pool = look(model, data.inputs.take(rows), frozenset({Need.FEATURES}))
    assert pool.features is not None
    features = np.concatenate([pool.features[name] for name in pool.modalities], axis=1)
    choices.draw_map(found, features, rows, path)


def _thinned(rows: npt.NDArray[np.int64], found: Curves, seed: int) -> npt.NDArray[np.int64]:
    """Return at most `MAP_POINTS` rows, those that somebody chose among them."""
    drawn = style.lines(found.contenders)
    batches = [found.cells[name, seed][0].batch for name in drawn]
    wanted = np.unique(np.concatenate([np.asarray(batch, np.int64) for batch in batches]))
    others = np.random.default_rng(0).permutation(np.setdiff1d(rows, wanted))
    return np.sort(np.concatenate([wanted, others[: max(0, choices.MAP_POINTS - len(wanted))]]))
