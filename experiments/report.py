"""From measurements to a report: tables as Parquet and CSV, pictures, and one HTML page."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from experiments import alarms, curves, summary
from experiments.curves import Curves
from experiments.figures import choices, learning, matrices, style
from experiments.page import Section, Table, render
from experiments.plan import Contender
from experiments.replay import INITIAL, initial_rows, pool_rows
from experiments.statistics import Interval
from experiments.summary import Row
from model import checkpoint
from model.look import look
from strategies.pool import Need

PAGE = "report.html"
Drawing = tuple[str, str, Callable[[Path], object], str]
"""Title, file name, what draws it (False: nothing to see), caption."""


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
        *_pictures(found, folder),
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


def _pictures(found: Curves, folder: Path) -> list[Section]:
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
