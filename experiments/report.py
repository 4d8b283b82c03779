"""From measurements to a report: tables as Parquet and CSV, pictures, and one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from experiments import alarms, curves, summary
from experiments.curves import Curves
from experiments.figures import learning
from experiments.page import Section, Table, render
from experiments.pictures import pictures
from experiments.plan import Contender
from experiments.statistics import Interval
from experiments.summary import Row

PAGE = "report.html"


def write_table(table: pa.Table, stem: Path) -> None:
    """Write a table as Parquet and CSV, each renamed into place."""
    for suffix, write in ((".parquet", pq.write_table), (".csv", pyarrow.csv.write_csv)):
        path = stem.with_suffix(suffix)
        beside = path.with_suffix(f"{suffix}.writing")
        write(table, beside)
        os.replace(beside, path)


def report(folder: Path) -> Path:
    """Write the report of one replay into its folder; returns the page.

    Raises:
        DataError: no seed is finished.
    """
    found = curves.load(folder)
    rows = summary.rows(found)
    write_table(curves.tidy(found), folder / "measurements")
    write_table(summary.table(found, rows), folder / "summary")
    hints = alarms.count(alarms.moments(found, folder))
    sections = [
        Section("In plain words", summary.verdict(found, rows), marked=True),
        Section("What was replayed", terms=facts(found)),
        Section("Numbers", terms=_numbers_terms(found), table=numbers(found, rows)),
        *pictures(found, folder),
        Section("Would the stopping hint have been right?", alarm_text(hints)),
        Section("The strategies", terms=strategies(found)),
    ]
    page = folder / PAGE
    text = render(f"Which tasks to label first: {found.name}", found.plan.title, sections)
    beside = page.with_suffix(".writing")
    beside.write_text(text)
    os.replace(beside, page)
    return page


def facts(found: Curves) -> list[tuple[str, str]]:
    """Describe a replay."""
    plan = found.plan
    pool = "all training samples" if not plan.pool else f"{plan.pool} samples, drawn anew per seed"
    encoders = {
        modality.name: plan.preset.preparation.encoder(modality)
        for modality in found.schema.modalities
    }
    finished = f"{len(found.seeds)} of {plan.seeds}"
    return [
        (
            "Labels",
            f"{found.labels[0]} at first, then {plan.batch} per round to {found.labels[-1]}",
        ),
        ("First labels", f"chosen by {plan.initial_strategy}"),
        ("Pool", pool),
        (
            "Repetitions",
            f"{finished} seeds; within a seed all start from the same labels and model",
        ),
        (
            "Model",
            f"{plan.preset.name} preset, {plan.preset.preparation.mode}, "
            f"fusion {plan.preset.network.fusion}",
        ),
        ("Encoders", ", ".join(f"{name}: {encoder}" for name, encoder in encoders.items())),
        ("Training", "from the initial weights in every round, last epoch kept"),
    ]


def strategies(found: Curves) -> list[tuple[str, str]]:
    """Say what each contender goes by."""
    known = [(text, Contender.read(text).strategy) for text in found.contenders]
    return [(t, one.summary + (f" {one.paper}." if one.paper != "-" else "")) for t, one in known]


def _numbers_terms(found: Curves) -> list[tuple[str, str]]:
    base = found.contenders[found.reference]
    modalities = found.by_strength()
    metric = learning.axis_name(found.metric)
    listed = [
        ("final", f"{metric} with {found.labels[-1]} labels: mean and half its 90% interval"),
        ("height", f"area under the learning curve: mean {metric} over all rounds"),
        (
            f"lead on {base}",
            "difference in height within the same repetition; positive is better, for errors, too. "
            "Bold: more than chance explains",
        ),
        ("90% interval", "9 of 10 such intervals hold the value that endless repetitions give"),
        (
            "p (Holm)",
            "how often chance alone gives such a difference, corrected for the number of "
            "strategies; below 0.1 counts as real",
        ),
        ("labels needed", f"for {base}'s final value; “–” where it is not reached"),
        ("saved", f"labels that {base} itself needs for it, less those; interval by bootstrap"),
    ]
    if len(modalities) > 1:
        listed.append((f"lead, {modalities[-1]} alone", "the weaker modality's own prediction"))
    return [*listed, ("s per choice", "seconds to choose one batch")]


def numbers(found: Curves, rows: Sequence[Row]) -> Table:
    """Return the summary as text."""
    base = found.contenders[found.reference]
    header = ["strategy", "final ± 90%", "height", f"lead on {base}", "90% interval", "p (Holm)"]
    header += ["labels needed", "saved", "90% interval"]
    modalities = found.by_strength()
    if rows[0].weaker is not None:
        header.append(f"lead, {modalities[-1]} alone")
    header.append("s per choice")
    lines, marks = [], []
    for row in rows:
        needed = row.saving.needed
        line = [
            row.contender,
            f"{row.final.mean:.3f}{_spread(row.final)}",
            f"{row.mean:.4f}",
            f"{row.gain.mean:+.4f}",
            row.gain.bounds(4),
            "" if row.contender == base else f"{row.p_holm:.3f}",
            "–" if needed is None else f"{needed:.0f}",
            "–" if needed is None else f"{row.saving.saved:.0f}",
            f"{row.saving.low:.0f} to {row.saving.high:.0f}",
        ]
        if row.weaker is not None:
            line.append(f"{row.weaker.mean:+.4f}")
        lines.append([*line, f"{row.seconds:.2f}"])
        sure = summary.surely_better(row)
        marks.append("base" if row.contender == base else "good" if sure else "")
    return Table(header, lines, marks)


def _spread(found: Interval) -> str:
    return "" if np.isnan(found.high) else f" ± {found.high - found.mean:.3f}"


def alarm_text(found: alarms.Alarms) -> str:
    """Say how the stopping hint fared in a replay."""
    if not found.moments:
        return "There are too few rounds to give the hint."
    said = (
        f"At {found.moments} moments the hint could be given; at {found.flat} of them the rest of "
        f"the curve brought at most {100 * alarms.TOLERANCE:.0f} point (numbers: 1% of the range). "
    )
    if not found.given:
        return said + "It never said that the curve has flattened."
    return said + (
        f"It said “flattened” {found.given} times and was wrong {found.false} times "
        f"({100 * found.false_rate:.0f}%)."
    )
