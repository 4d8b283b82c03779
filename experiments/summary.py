"""The numbers of a report: one row per contender, and what they mean in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from experiments.curves import Curves
from experiments.figures.learning import axis_name
from experiments.statistics import (
    CONFIDENCE,
    Interval,
    Saving,
    area,
    holm,
    interval,
    labels_saved,
    p_value,
)


@dataclass(frozen=True)
class Row:
    """One contender of one replay.

    Attributes:
        contender: its name.
        final: main metric of the last round.
        mean: area under the curve as a mean height.
        gain: paired difference in area to the reference; positive is better.
        p: two-sided paired t-test of that difference.
        p_holm: the same, adjusted for all contenders of the replay.
        saving: labels saved against the reference.
        weaker: paired difference in area of the weaker modality's own head; None if there is one.
        seconds: mean seconds per choice.
    """

    contender: str
    final: Interval
    mean: float
    gain: Interval
    p: float
    p_holm: float
    saving: Saving
    weaker: Interval | None
    seconds: float


def rows(curves: Curves) -> list[Row]:
    """Summarise every contender, the largest area first."""
    values, sign, base = curves.of("multimodal"), curves.sign, curves.reference
    areas = area(values, curves.labels)
    gaps = sign * (areas - areas[base])
    others = [row for row in range(len(areas)) if row != base]
    raw = [p_value(gap) for gap in gaps]
    adjusted = dict(zip(others, holm([raw[row] for row in others]), strict=True))
    weaker = _weaker_gaps(curves)
    found = []
    for row, name in enumerate(curves.contenders):
        found.append(
            Row(
                name,
                interval(values[row, :, -1]),
                float(areas[row].mean()),
                interval(gaps[row]),
                raw[row],
                adjusted.get(row, 1.0),
                labels_saved(values[row], values[base], curves.labels, sign),
                None if weaker is None else interval(weaker[row]),
                _seconds(curves, name),
            )
        )
    return sorted(found, key=lambda item: -item.gain.mean)


def surely_better(row: Row) -> bool:
    """Tell whether a contender beats the reference even after Holm's correction."""
    return row.gain.mean > 0 and row.p_holm < 1 - CONFIDENCE


def surely_worse(row: Row) -> bool:
    """Tell whether a contender falls behind the reference even after Holm's correction."""
    return row.gain.mean < 0 and row.p_holm < 1 - CONFIDENCE


def _weaker_gaps(curves: Curves) -> np.ndarray | None:
    modalities = curves.by_strength()
    if len(modalities) < 2:
        return None
    areas = area(curves.of(modalities[-1]), curves.labels)
    return np.asarray(curves.head_sign(modalities[-1]) * (areas - areas[curves.reference]))


def _seconds(curves: Curves, contender: str) -> float:
    spent = [
        cell.seconds["choose"]
        for (name, _), chain in curves.cells.items()
        if name == contender
        for cell in chain[:-1]
    ]
    return float(np.mean(spent))


def table(curves: Curves, found: list[Row]) -> pa.Table:
    """Return the summary as a table."""
    return pa.table(
        {
            "setting": [curves.name] * len(found),
            "strategy": [row.contender for row in found],
            "metric": [curves.metric] * len(found),
            "final": [row.final.mean for row in found],
            "final_low": [row.final.low for row in found],
            "final_high": [row.final.high for row in found],
            "area": [row.mean for row in found],
            "gain": [row.gain.mean for row in found],
            "gain_low": [row.gain.low for row in found],
            "gain_high": [row.gain.high for row in found],
            "p": [row.p for row in found],
            "p_holm": [row.p_holm for row in found],
            "labels_needed": [row.saving.needed for row in found],
            "labels_saved": [row.saving.saved for row in found],
            "labels_saved_low": [row.saving.low for row in found],
            "labels_saved_high": [row.saving.high for row in found],
            "reached": [row.saving.reached for row in found],
            "gain_weaker": [None if row.weaker is None else row.weaker.mean for row in found],
            "seconds_per_choice": [row.seconds for row in found],
        }
    )


def verdict(curves: Curves, found: list[Row]) -> str:
    """Say in plain words which strategy to use here, and whether the difference is real."""
    base = curves.contenders[curves.reference]
    rivals = [row for row in found if row.contender != base]
    if not rivals:
        return "Only one strategy was replayed: there is nothing to compare."
    real = [row for row in rivals if surely_better(row)]
    weak = [r for r in rivals if r.gain.mean > 0 and r.gain.excludes_zero and r not in real]
    lost = [row for row in rivals if surely_worse(row)]
    behind = [row for row in rivals if row.gain.high < 0 and row not in lost]
    best = (real or weak or rivals)[0]
    count = len(curves.seeds)
    parts = [_recommendation(best, real, weak, base, axis_name(curves.metric), count)]
    for words, listed in (
        (f"Also surely better than {base}", [row for row in real if row is not best]),
        ("Probably better, but not beyond doubt", [row for row in weak if row is not best]),
        (f"Surely worse than {base}", lost),
        (f"Probably worse than {base}", behind),
    ):
        if listed:
            parts.append(f"{words}: {', '.join(row.contender for row in listed)}.")
    parts.append(_saving_words(curves, best, base))
    if count < 5:
        parts.append(f"With {count} repetition{'s' * (count > 1)}, read all of this with care.")
    return " ".join(part for part in parts if part)


def _recommendation(
    best: Row, real: list[Row], weak: list[Row], base: str, unit: str, count: int
) -> str:
    size = f"{abs(best.gain.mean):.3f} in {unit} on average over all rounds"
    bounds = f"90% interval {best.gain.bounds(3)}, {count} repetitions"
    if count == 1:
        bounds = "one repetition, which says nothing about chance"
    if best in real:
        return (
            f"Use {best.contender}: it is better than {base} by {size} ({bounds}), and that holds "
            "after correcting for the number of strategies compared."
        )
    if best in weak:
        return (
            f"{best.contender} is ahead of {base} by {size} ({bounds}), but with this many "
            "strategies compared such a difference may well be chance."
        )
    if best.gain.mean <= 0:
        return f"No strategy did better than {base} here: use {base}."
    return (
        f"No strategy is distinguishable from {base} here: the best, {best.contender}, leads by "
        f"{size} ({bounds}), which is within the noise. More repetitions or rounds may tell them "
        "apart."
    )


def _saving_words(curves: Curves, best: Row, base: str) -> str:
    own = curves.sign * curves.of("multimodal")[curves.reference].mean(axis=0)
    if own[-1] <= own[0]:
        return (
            f"With {base} the model does not improve from the first round to the last here, so a "
            "lead tells of harm avoided rather than of labels saved."
        )
    saving, name = best.saving, best.contender
    if best.gain.mean <= 0:
        return ""
    if saving.needed is None:
        return f"{name} does not reach {base}'s final value."
    count = round(abs(saving.saved))
    said = "as many" if not count else f"{count} {'fewer' if saving.saved > 0 else 'more'}"
    noise = saving.low <= 0 <= saving.high
    return (
        f"For {base}'s final value {name} needs about {saving.needed:.0f} labels, {base} itself "
        f"{saving.reference:.0f}: {said} (90% interval of the labels saved {saving.low:.0f} to "
        f"{saving.high:.0f}{', so this may be chance' if noise else ''})."
    )
