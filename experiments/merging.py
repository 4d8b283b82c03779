"""Several replays in one table and one pairwise matrix over settings (BMMAL Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from experiments import curves, summary
from experiments.curves import Curves
from experiments.dataset import DataError
from experiments.figures import matrices
from experiments.page import Section, Table, render
from experiments.plan import RANDOM
from experiments.report import PAGE, write_table
from experiments.statistics import Array


def merge(folders: Sequence[Path], out: Path) -> Path:
    """Write the joint report of several replays; returns the page.

    Raises:
        DataError: no strategy is in every replay.
    """
    found = _named_apart(folders, [curves.load(folder) for folder in folders])
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
        Section("In plain words", _verdict(found, rows), marked=True),
        Section("Better and worse than random, counted", _COUNTED, table=standings(found, rows)),
        Section("Mean difference to random over all rounds", _LEADS, table=leads(found, rows)),
        Section(
            f"Who beats whom over {len(found)} settings",
            picture=picture,
            caption="Sum over settings of the share of rounds in which the row beats the column "
            "(two-sided paired t-test at 0.9 confidence, as BMMAL Fig. 5); at most "
            f"{len(found)}. Chance alone gives about {0.05 * len(found):.2f}.",
        ),
        *(
            Section(one.name, f"{one.plan.title}. {summary.verdict(one, mine)}")
            for one, mine in zip(found, rows, strict=True)
        ),
    ]
    lead = f"{len(found)} settings, {len(common)} strategies that all of them have"
    page = out / PAGE
    page.write_text(render("Which tasks to label first", lead, sections))
    return page


def _named_apart(folders: Sequence[Path], found: Sequence[Curves]) -> list[Curves]:
    """Give replays of the same name that of their folder, too.

    Raises:
        DataError: a folder is named twice, or a replay lacks random.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise DataError("a folder is named twice")
    for folder, one in zip(folders, found, strict=True):
        if one.index(RANDOM) is None:
            raise DataError(
                f"{folder} has no {RANDOM}, which all settings are compared with: run it again "
                f"with {RANDOM} among its --strategies"
            )
    names = [one.name for one in found]
    return [
        one
        if names.count(one.name) == 1
        else replace(one, plan=replace(one.plan, name=f"{one.name} ({folder})"))
        for folder, one in zip(folders, found, strict=True)
    ]


_LEADS = (
    "Paired by seed; positive is better, in points (accuracy, F1) or in hundredths of the error's "
    "unit. An asterisk: real after Holm's correction over the setting's strategies, at 0.9. "
    "A dot: the 90% interval alone excludes zero."
)


_COUNTED = (
    "Surely: real after Holm's correction over the setting's strategies, at 0.9. Probably: the 90% "
    "interval alone excludes zero."
)


def standings(found: Sequence[Curves], rows: Sequence[Sequence[summary.Row]]) -> Table:
    """Count the settings in which each contender is better or worse than random."""
    counted = []
    for name in dict.fromkeys(name for one in found for name in one.contenders if name != RANDOM):
        mine = [row for one in rows for row in one if row.contender == name]
        better, worse = (sum(map(f, mine)) for f in (summary.surely_better, summary.surely_worse))
        above = sum(row.gain.low > 0 for row in mine) - better
        below = sum(row.gain.high < 0 for row in mine) - worse
        noise = len(mine) - better - worse - above - below
        counted.append((name, len(mine), better, above, noise, below, worse))
    counted.sort(key=lambda one: (one[6] - one[2]) / one[1])
    header = ["strategy", "settings", "surely better", "probably better", "within the noise"]
    lines = [[str(value) for value in one] for one in counted]
    return Table([*header, "probably worse", "surely worse"], lines)


def _verdict(found: Sequence[Curves], rows: Sequence[Sequence[summary.Row]]) -> str:
    table = standings(found, rows)
    if not table.rows:
        return "Only random was replayed: there is nothing to compare."
    name, count, better, above, *_, worse = table.rows[0]
    if not int(better):
        return "No strategy is surely better than random in any of these settings."
    return (
        f"{name} is surely better than random in {better} of {count} settings, surely worse in "
        f"{worse} and probably better in {above} more; no strategy has a better balance. Which one "
        "to use for a setting is said below, setting by setting."
    )


def shared(found: Sequence[Curves]) -> list[str]:
    """List the contenders that are in every replay, in the first one's order."""
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
