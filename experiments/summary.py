"""The numbers of a report: one row per contender, and what they mean in plain words."""

from __future__ import annotations

from collections.abc import Iterable
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
    best = rivals[0]
    real = [row for row in rivals if row.gain.mean > 0 and row.p_holm < 1 - CONFIDENCE]
    weak = [r for r in rivals if r.gain.mean > 0 and r.gain.excludes_zero and r not in real]
    worse = [row for row in rivals if row.gain.high < 0]
    unit = axis_name(curves.metric)
    count = len(curves.seeds)
    parts = [_recommendation(best, real, weak, base, unit, count)]
    if real and len(real) > 1:
        parts.append(
            f"Also surely better than {base}: {_list(r.contender for r in real if r is not best)}."
        )
    if real and weak:
        parts.append(f"Probably better, but not beyond doubt: {_list(r.contender for r in weak)}.")
    if worse:
        parts.append(f"Worse than {base}: {_list(row.contender for row in worse)}.")
    parts.append(_saving_words(best.saving, base, best.contender))
    if count < 5:
        parts.append(f"With {count} repetition{'s' * (count > 1)}, read all of this with care.")
    return " ".join(parts)


def _recommendation(
    best: Row, real: list[Row], weak: list[Row], base: str, unit: str, count: int
) -> str:
    size = f"{abs(best.gain.mean):.3f} in {unit} on average over all rounds"
    bounds = f"90% interval {best.gain.low:+.3f} to {best.gain.high:+.3f}, {count} repetitions"
    if best in real:
        return (
            f"Use {best.contender}: it is better than {base} by {size} ({bounds}), and that holds "
            "after correcting for the number of strategies compared."
        )
    if best in weak:
        return (
            f"{best.contender} did best, better than {base} by {size} ({bounds}), but with this "
            "many strategies compared such a difference may well be chance."
        )
    if best.gain.mean <= 0:
        return f"No strategy did better than {base} here: use {base}."
    return (
        f"No strategy is distinguishable from {base} here: the best, {best.contender}, leads by "
        f"{size} ({bounds}), which is within the noise."
    )


def _saving_words(saving: Saving, base: str, name: str) -> str:
    if saving.needed is None:
        return f"{name} does not reach {base}'s final value."
    more = "fewer" if saving.saved >= 0 else "more"
    return (
        f"For {base}'s final value {name} needs about {saving.needed:.0f} labels, {base} itself "
        f"{saving.reference:.0f}: {abs(saving.saved):.0f} {more} (90% interval of the labels saved "
        f"{saving.low:.0f} to {saving.high:.0f})."
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
