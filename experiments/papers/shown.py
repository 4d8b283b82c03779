"""What each table and figure prints and draws of its replays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments import curves as curves_of
from experiments.curves import Curves, Grid
from experiments.dataset import DataError
from experiments.figures import learning, matrices, published
from experiments.papers.numbers import Full, aligned, printed
from experiments.replay import INITIAL, initial_rows, pool_rows
from model import checkpoint
from model.look import look
from strategies.pool import Need

TEN = 10
_SCORES = {"MAE": "mae", "Acc-2": "acc2", "Acc-3": "acc3", "Acc-5": "acc5", "Corr": "corr"}


@dataclass(frozen=True)
class Shown:
    """The replays of one table or figure.

    Attributes:
        name: of the table or figure.
        found: run -> its curves.
        folders: run -> its folder.
        full: run -> metrics of networks that learned all labels, where they are asked for.
        to: folder for pictures and tables.
    """

    name: str
    found: Mapping[str, Curves]
    folders: Mapping[str, Path]
    full: Mapping[str, Full]
    to: Path

    def picture(self, run: str) -> Path:
        """Return where the picture of a run goes."""
        return self.to / f"{self.name}-{run}.png"

    def each(self, show: Callable[[str, Curves], list[str]]) -> list[str]:
        """Return the lines of every run, under its title."""
        lines: list[str] = []
        for run, found in self.found.items():
            lines += [f"{found.plan.title}, {len(found.seeds)} seeds", *show(run, found), ""]
        return lines[:-1]


def tables(shown: Shown) -> list[str]:
    """Print mean and standard deviation over seeds of every metric in the last round."""

    def one(run: str, found: Curves) -> list[str]:
        everything = len(curves_of.data_of(shown.folders[run]).train)
        return printed(found, shown.to / f"{shown.name}-{run}", shown.full.get(run), everything)

    return shown.each(one)


def learning_curves(shown: Shown) -> list[str]:
    """Draw the main metric of every head over labels; print that of the last round."""

    def one(run: str, found: Curves) -> list[str]:
        learning.draw_curves(found, shown.picture(run))
        return printed(found, shown.to / f"{shown.name}-{run}")

    return shown.each(one)


def score_curves(shown: Shown) -> list[str]:
    """Draw the metrics of GRACE's regression figures over labels."""

    def one(run: str, found: Curves) -> list[str]:
        panels = {title: found.values[metric] for title, metric in _SCORES.items()}
        published.draw_over_rounds(found, panels, shown.picture(run), "mean over seeds")
        return printed(found, shown.to / f"{shown.name}-{run}")

    return shown.each(one)


def contributions(shown: Shown) -> list[str]:
    """Draw each modality's mean contribution to the true class on the test set (BMMAL Fig. 2)."""

    def one(run: str, found: Curves) -> list[str]:
        panels = {name: _needed(found, f"contribution:{name}") for name in found.by_strength()}
        published.draw_over_rounds(found, panels, shown.picture(run), "contribution, true class")
        return by_labels(found, panels)

    return shown.each(one)


def contribution_gaps(shown: Shown) -> list[str]:
    """Draw how far the modalities' mean contributions are apart on the test set (BMMAL Fig. 3)."""

    def one(run: str, found: Curves) -> list[str]:
        names = found.by_strength()
        shares = np.stack([_needed(found, f"contribution:{name}") for name in names])
        panels = {"largest less smallest": np.ptp(shares, axis=0)}
        published.draw_over_rounds(found, panels, shown.picture(run), "gap in contribution")
        return by_labels(found, panels)

    return shown.each(one)


def pairwise_wins(shown: Shown) -> list[str]:
    """Sum the significant wins of every data set, with the column averages (BMMAL Fig. 5)."""
    first = next(iter(shown.found.values()))
    total: dict[str, npt.NDArray[np.float64]] = {}
    for found in shown.found.values():
        if found.contenders != first.contenders:
            raise DataError("the data sets were replayed with different strategies")
        for title, table in matrices.win_tables(found).items():
            total[title] = total.get(title, 0) + table
    most = float(len(shown.found))
    matrices.draw_wins(total, first.contenders, shown.picture("all"), most=most)
    lines = []
    for title, table in total.items():
        head = [title, *first.contenders]
        body = [
            [name, *(f"{v:.2f}" for v in row)]
            for name, row in zip(first.contenders, table, strict=True)
        ]
        means = ["column average", *(f"{v:.2f}" for v in table.mean(axis=0))]
        lines += [*aligned([head, *body, means]), ""]
    return [*lines, "A row beats a column; a small average is good. Largest value: " + f"{most:g}"]


def weak_weights(shown: Shown) -> list[str]:
    """Draw the weaker modality's mean weight where the other dominates (BMMAL Fig. 6)."""

    def one(run: str, found: Curves) -> list[str]:
        weak = found.by_strength()[-1]
        panels = {
            f"weight of {weak} where it is dominated, in what was chosen": _needed(
                found, f"chosen:dominated_weight:{weak}"
            )
        }
        path = shown.picture(run)
        published.draw_over_rounds(found, panels, path, "mean weight (Eq. 14)", choices=True)
        return by_labels(found, panels, choices=True)

    return shown.each(one)


def class_gains(shown: Shown) -> list[str]:
    """Draw BMMAL's own-modality gain on BADGE in ten classes with the last labels (Fig. 8)."""

    def one(run: str, found: Curves) -> list[str]:
        places = found.index("bmmal"), found.index("badge")
        if None in places:
            raise DataError("figure 8 compares bmmal with badge; replay both")
        gains = {name: _gains(found, name, *map(int, places)) for name in found.by_strength()}  # type: ignore[arg-type]
        weak = gains[found.by_strength()[-1]]
        most = sorted(weak, key=lambda label: -abs(weak[label]))[:TEN]
        order = sorted(most, key=lambda label: -weak[label])
        some = {name: {c: of.get(c, np.nan) for c in order} for name, of in gains.items()}
        against = f"bmmal less badge, accuracy with {found.labels[-1]} labels"
        published.draw_class_gains(some, shown.picture(run), against)
        head = ["class", *some]
        return aligned([head, *([c, *(f"{of[c]:+.3f}" for of in some.values())] for c in order)])

    return shown.each(one)


def guidelines(shown: Shown) -> list[str]:
    """Check what BMMAL's guidelines ask of a choice, strategy by strategy."""

    def one(run: str, found: Curves) -> list[str]:
        names = found.by_strength()
        head = ["chosen less pool, all rounds", "dominance (Eq. 5)"]
        head += [f"contribution of {name}" for name in names]
        kinds = ["dominance", *(f"contribution:{name}" for name in names)]
        rows = []
        for place, contender in enumerate(found.contenders):
            gaps = [
                (found.values[f"chosen:{kind}"] - found.values[f"pool:{kind}"])[place, :, :-1]
                for kind in kinds
            ]
            rows.append([contender, *(f"{gap.mean():+.4f}" for gap in gaps)])
        return aligned([head, *rows])

    return shown.each(one)


def easiness(shown: Shown) -> list[str]:
    """Draw GRACE's easiness of what each strategy chose, round by round (GRACE Fig. 7)."""

    def one(run: str, found: Curves) -> list[str]:
        panels = {
            "in what was chosen": _needed(found, "chosen:ease"),
            "less the pool's": _needed(found, "chosen:ease") - _needed(found, "pool:ease"),
        }
        path = shown.picture(run)
        published.draw_over_rounds(found, panels, path, "easiness (Eq. 6)", choices=True)
        return by_labels(found, panels, choices=True)

    return shown.each(one)


def polarity_map(shown: Shown) -> list[str]:
    """Draw all that was chosen, coloured by polarity; print the shares (GRACE Fig. 8)."""

    def one(run: str, found: Curves) -> list[str]:
        folder, seed = shown.folders[run], found.seeds[0]
        data = curves_of.data_of(folder)
        rows = np.setdiff1d(pool_rows(data, found.plan, seed), initial_rows(folder, seed))
        model = checkpoint.load(folder / INITIAL / f"seed-{seed}", device="cpu")
        pool = look(model, data.inputs.take(rows), frozenset({Need.FEATURES}))
        assert pool.features is not None
        features = np.concatenate([pool.features[name] for name in pool.modalities], axis=1)
        target = data.schema.multimodal
        low, high = model.ranges[target.name]
        values = np.asarray(data.labels[target.name], float)[rows] - (low + high) / 2
        published.draw_rounds(found, features, rows, values, shown.picture(run))
        lines = [["chosen in all rounds", "negative", "neutral", "positive"]]
        lines.append(["(the pool)", *_signs(values)])
        for name in found.contenders:
            batch = [row for cell in found.cells[name, seed] for row in cell.batch]
            lines.append([name, *_signs(values[np.isin(rows, batch)])])
        return aligned(lines)

    return shown.each(one)


def by_labels(found: Curves, panels: Mapping[str, Grid], *, choices: bool = False) -> list[str]:
    """Return means over seeds as lines: a row per strategy, a column per number of labels."""
    labels = found.labels[:-1] if choices else found.labels
    lines = []
    for title, grid in panels.items():
        head = [title, *map(str, labels)]
        rows = [
            [name, *(f"{v:.3f}" for v in published.means(grid[place][:, : len(labels)]))]
            for place, name in enumerate(found.contenders)
        ]
        lines += aligned([head, *rows])
    return lines


def _needed(found: Curves, name: str) -> Grid:
    if name not in found.values:
        raise DataError(f"this replay did not measure {name!r}; run it again in another --out")
    return found.values[name]


def _gains(found: Curves, modality: str, ours: int, theirs: int) -> dict[str, float]:
    start = f"within:{modality}:"
    return {
        name.removeprefix(start): float((grid[ours] - grid[theirs])[:, -1].mean())
        for name, grid in found.values.items()
        if name.startswith(start)
    }


def _signs(values: npt.NDArray) -> list[str]:
    return [f"{float(np.mean(np.sign(values) == sign)):.2f}" for sign in (-1, 0, 1)]
