"""docs/evidence.md: what the replays say, every number taken from their measurements."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from experiments import curves, evidence_claims, evidence_stopping, evidence_worth, summary
from experiments.curves import Curves
from experiments.figures import learning, matrices
from experiments.figures.learning import axis_name
from experiments.merging import leads, shared, standings, summed_wins
from experiments.page import Table, markdown
from experiments.report import numbers
from experiments.statistics import CONFIDENCE
from experiments.summary import Row
from model.stopping import Calibration
from strategies.pool import TargetKind

_HEAD = """# Evidence

Does another order of labelling save labels, and do the papers' claims hold here? This page is
written by `make evidence` from its own runs; nothing on it is copied from a paper, and nothing was
left out because it looked bad. The runs are those of a project as it comes: the preset `auto`,
which sees pictures, sounds and texts of public data (`experiments/sets/`) with frozen encoders and
learns linear heads, and a first batch that covers, on one processor core each. They show *shapes*,
not the papers' numbers, whose data and networks are far larger. What version 0.1 measured with its
own default, all strategies in eleven settings, is in [evidence-quick.md](evidence-quick.md).

How to read it: every comparison is **paired by seed**, because within a seed all strategies start
from the same labels and the same model. A *lead* is the mean difference to random over all rounds.
Intervals are 90% intervals over seeds; p values are two-sided. *Surely* means that a difference
stays real after correcting for the number of strategies compared in its setting (Holm, at 0.9).
"""
_DISAGREES = """## Where this disagrees with the papers

Our own code was the first suspect. BMMAL's choice is compared with modulated gradients written out
and its contributions with Eq. 10 by hand (`tests/strategies/`), the factors of BMMAL and GRACE with
autograd sample by sample (`tests/model/test_look.py`), and GRACE's scores with their definitions;
all agree up to rounding, so we know of no fault behind a row that reads *the opposite*. What limits
these runs: the half width of an interval above is the smallest difference that so few repetitions
can tell from noise, often a point or two; the digits are nearly solved by the last round and the
tweets hardly learnt, so that there is little room for any order; and the features are frozen, where
the papers fine-tune large networks.
"""
_AGAIN = """## Run it yourself

`make evidence` runs what is missing and writes this page; it may be stopped and started again.
`make evidence ARGS="--only mosi-two-number --jobs 2"` runs one setting. The papers' protocol on the
digits, five strategies, five repetitions and eight rounds, with a full report:

    equipoise simulate --data avdigits --root ../shared/data \\
      --strategies random,entropy,badge,bmmal,grace --initial 20 --batch 20 --rounds 7 --seeds 5 \\
      --out results/avdigits
"""


def write(
    folders: Sequence[Path], docs: Path, unfinished: Sequence[str] = ()
) -> tuple[Path, Calibration]:
    """Write the page and its pictures; returns the page and the stopping hint's calibration.

    Args:
        folders: replays with at least one seed that every strategy has finished.
        docs: the folder `docs`.
        unfinished: planned settings that have too few finished seeds yet; the page names them.
    """
    found = [curves.load(folder) for folder in folders]
    rows = [summary.rows(one) for one in found]
    pictures = _Pictures(docs / "evidence")
    wins = _wins(found, pictures)
    stopping, calibration = evidence_stopping.section(found, folders)
    parts = [
        _HEAD,
        evidence_worth.section(found, folders),
        evidence_claims.in_short(found, rows),
        _overview(found, rows, unfinished),
        evidence_claims.claims(found),
        _DISAGREES,
        evidence_claims.dominance(found),
        evidence_claims.rules(found),
        stopping,
        wins,
        *(_setting(one, mine, pictures) for one, mine in zip(found, rows, strict=True)),
        _AGAIN,
    ]
    page = docs / "evidence.md"
    beside = page.with_suffix(".writing")
    beside.write_text("\n".join(part for part in parts if part))
    os.replace(beside, page)
    pictures.drop_others()
    return page, calibration


class _Pictures:
    """The page's folder of pictures; those of earlier pages go."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._named: set[str] = set()

    def path(self, stem: str) -> Path:
        self._named.add(f"{stem}.png")
        return self._folder / f"{stem}.png"

    def drop_others(self) -> None:
        for old in self._folder.glob("*.png"):
            if old.name not in self._named:
                old.unlink()


def _overview(found: Sequence[Curves], rows: Sequence[list[Row]], unfinished: Sequence[str]) -> str:
    sizes = [
        [
            one.name,
            one.plan.title,
            f"{one.labels[0]} + {len(one.labels) - 1} x {one.plan.batch}",
            str(one.plan.pool or "all"),
            str(len(one.seeds)),
            str(len(one.contenders)),
            f"{_spent(one) / 60:.0f}",
        ]
        for one in found
    ]
    header = ["setting", "data", "labels", "pool", "seeds", "strategies", "core-minutes"]
    minutes = sum(_spent(one) for one in found) / 60
    gaps = (
        f"\nPlanned and not run yet: {', '.join(unfinished)}. Until they are, the stopping hint "
        "is that of [evidence-quick.md](evidence-quick.md).\n"
        if unfinished
        else ""
    )
    return (
        "## Settings\n\nCore-minutes of training "
        f"and choosing, {minutes:.0f} in all.\n\n{markdown(Table(header, sizes))}\n{gaps}\n"
        "## Leads on random\n\nIn points of accuracy (mean over classes), for numbers in "
        "hundredths of the error's unit; positive is better. `*`: surely; `·`: the 90% interval "
        f"alone excludes zero.\n\n{markdown(leads(found, rows))}\n\n"
        "In how many settings each strategy was better or worse than random:\n\n"
        f"{markdown(standings(found, rows))}\n"
    )


def _spent(one: Curves) -> float:
    """Return the seconds that a replay's finished chains trained and chose."""
    return sum(sum(cell.seconds.values()) for chain in one.cells.values() for cell in chain)


def _wins(found: Sequence[Curves], pictures: _Pictures) -> str:
    kinds: dict[str, list[Curves]] = {"classes": [], "numbers": []}
    for one in found:
        kinds["numbers" if one.kind is TargetKind.REGRESSION else "classes"].append(one)
    parts = []
    for kind, mine in kinds.items():
        if len(mine) < 2:
            continue
        common = shared(mine)
        path = pictures.path(f"wins-{kind}")
        matrices.draw_wins(summed_wins(mine, common), common, path, most=float(len(mine)))
        chance = len(mine) * (1 - CONFIDENCE) / 2
        parts.append(
            f"{len(mine)} settings with {kind}: at most {len(mine)}, by chance about "
            f"{chance:.2f}.\n\n![Pairwise wins, {kind}](evidence/{path.name})\n"
        )
    if not parts:
        return ""
    return (
        "## Who beats whom\n\nSum over settings of the share of rounds that the row wins against "
        "the column (two-sided paired t-test at 0.9, as BMMAL Fig. 5).\n\n" + "\n".join(parts)
    )


def _setting(one: Curves, rows: list[Row], pictures: _Pictures) -> str:
    learning.draw_curves(one, pictures.path(f"{one.name}-curves"))
    learning.draw_areas(one, pictures.path(f"{one.name}-areas"))
    shown = f"![Learning curves](evidence/{one.name}-curves.png)\n\n"
    shown += f"![Leads on random](evidence/{one.name}-areas.png)\n"
    return (
        f"## {one.name}\n\n{one.plan.title}. Metric: {axis_name(one.metric)}.\n\n"
        f"{summary.verdict(one, rows)}\n\n{markdown(numbers(one, rows))}\n\n{shown}"
    )
