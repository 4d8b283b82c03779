"""Several replays in one table and one pairwise matrix over settings (BMMAL Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from experiments import curves, summary
from experiments.curves import Curves
from experiments.dataset import DataError
from experiments.figures import matrices
from experiments.page import Section, Table, render
from experiments.report import PAGE, write_table
from experiments.statistics import Array


def merge(folders: Sequence[Path], out: Path) -> Path:
    """Write the joint report of several replays; returns the page.

    Raises:
        DataError: no strategy is in every replay.
    """
    found = [curves.load(folder) for folder in folders]
    common = shared(found)
    out.mkdir(parents=True, exist_ok=True)
    rows = [summary.rows(one) for one in found]
    tables = [summary.table(one, mine) for one, mine in zip(found, rows, strict=True)]
    write_table(pa.concat_tables(tables, promote_options="default"), out / "summary")
    joint = pa.concat_tables([curves.tidy(one) for one in found], promote_options="default")
    write_table(joint, out / "measurements")
    sums = summed_wins(found, common)
    picture = out / "wins.png"
    matrices.draw_wins(sums, common, picture, most=float(len(found)))
    sections = [
        Section("Mean difference to random over all rounds", _LEADS, table=leads(found, rows)),
        Section(
            f"Who beats whom over {len(found)} settings",
            picture=picture,
            caption=f"Sum over settings of the share of rounds won; at most {len(found)}. "
            f"Chance alone gives about {0.05 * len(found):.2f}.",
        ),
        *(
            Section(one.name, f"{one.plan.title}. {summary.verdict(one, mine)}")
            for one, mine in zip(found, rows, strict=True)
        ),
    ]
    lead = f"{len(found)} settings, {len(common)} strategies that all of them have"
    page = out / PAGE
    page.write_text(render("Which tasks to label first", lead, [], sections))
    return page


_LEADS = (
    "Paired by seed; positive is better, in points (accuracy, F1) or in hundredths of the error's "
    "unit. An asterisk: real after Holm's correction over the setting's strategies, at 0.9. "
    "A dot: the 90% interval alone excludes zero."
)


def shared(found: Sequence[Curves]) -> list[str]:
    """List the contenders that are in every replay, in the first one's order."""
    if not found:
        raise DataError("name at least one folder with a replay")
    common = [c for c in found[0].contenders if all(c in one.contenders for one in found)]
    if not common:
        raise DataError("the replays have no strategy in common")
    return common


def summed_wins(found: Sequence[Curves], common: Sequence[str]) -> dict[str, Array]:
    """Sum the win tables of several replays over the contenders they share."""
    sums: dict[str, Array] = {}
    for one in found:
        places = [one.contenders.index(name) for name in common]
        for title, table in matrices.win_tables(one).items():
            part = table[np.ix_(places, places)]
            sums[title] = sums[title] + part if title in sums else part
    return sums


def leads(found: Sequence[Curves], rows: Sequence[Sequence[summary.Row]]) -> Table:
    """Return strategies x settings: the lead on random, 100-fold, with marks of certainty."""
    names = list(dict.fromkeys(name for one in found for name in one.contenders))
    columns = [{row.contender: row for row in mine} for mine in rows]
    lines = []
    for name in names:
        line = [name]
        for column in columns:
            row = column.get(name)
            line.append("" if row is None else _lead(row))
        lines.append(line)
    return Table(["strategy", *(one.name for one in found)], lines)


def _lead(row: summary.Row) -> str:
    mark = "*" if row.p_holm < 0.1 else "·" if row.gain.excludes_zero else ""
    return f"{100 * row.gain.mean:+.2f}{mark}"
