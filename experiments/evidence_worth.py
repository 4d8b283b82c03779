"""What the default is worth, on the evidence page: labels needed, heads, calibration, starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments import anchors, curves
from experiments.anchors import FORMER, SIZES
from experiments.curves import Curves
from experiments.page import Table, markdown
from experiments.plan import LIVE, RANDOM
from experiments.statistics import (
    CONFIDENCE,
    RESAMPLES,
    Array,
    Interval,
    interval,
    labels_needed,
    labels_saved,
)
from strategies.pool import TargetKind

DEFAULT = "auto"
CALIBRATED = 0.08
_FROM = 100  # labels from which probabilities are to be right
_ROOM = 0.02
"""What all labels have to add to random's end, for an order to have labels to save."""
_ELSEWHERE = (
    "Test speakers may be in no pool (mosi): `python -m experiments.elsewhere` measures the same "
    "models on unlabelled tasks of the pool's own speakers, too ([found](model.md))."
)


def section(found: Sequence[Curves], folders: Sequence[Path]) -> str:
    """Return the page's section on replays with the default's learner; "" if nothing was run."""
    pairs = list(zip(found, folders, strict=True))
    parts = [
        _needed(pairs),
        _orders(pairs),
        _heads(pairs),
        _calibration(found),
        _starts(pairs),
    ]
    said = "\n".join(part for part in parts if part)
    return f"## What the default is worth\n\n{said}" if said else ""


def _table(title: str, text: str, header: list[str], rows: list[list[str]]) -> str:
    return f"### {title}\n\n{text}\n\n{markdown(Table(header, rows))}\n" if rows else ""


def _needed(pairs: Sequence[tuple[Curves, Path]]) -> str:
    rows = []
    for one, folder in pairs:
        place = one.index(DEFAULT)
        if place is None or not (folder / FORMER / "plan.json").exists():
            continue
        former = curves.load(folder / FORMER)
        goals, last = former.of("multimodal")[0, :, -1], former.labels[-1]
        labels, values = _from_the_start(one, folder, place)
        need, low, high = reach(one.sign * values, one.sign * goals[: len(values)], labels)
        most = anchors.ceiling(folder)
        rows.append(
            [
                one.name,
                f"{goals.mean():.3f} with {last}",
                _labels(need, labels),
                f"{_labels(low, labels)} to {_labels(high, labels)}",
                "–" if np.isnan(need) else f"{100 * need / last:.0f}%",
                f"{values[:, -1].mean():.3f} with {one.labels[-1]}",
                "–" if most is None else f"{most:.3f}",
            ]
        )
    header = ["setting", "former default", "labels needed", "90% interval", "share"]
    return _table(
        "Labels that it needs for what the former default ends with",
        "The former default is the preset `quick` with random order, on small features where the "
        "set has media. *Labels needed*: by the first batch, the order and the learner of today "
        "(`auto`), by linear interpolation of the mean curve. *Own end*: of its curve, so far "
        "as it was run. "
        "*Ceiling*: logistic (numbers: ridge) regression on all labels of the set, same vectors, "
        "with one fixed penalty: no bound, and where it lies below *own end* it overfits.",
        [*header, "own end", "ceiling"],
        rows,
    )


def _from_the_start(one: Curves, folder: Path, place: int) -> tuple[Array, Array]:
    """Return the default's curve, with first batches that are smaller than its first round."""
    values = one.of("multimodal")[place]
    found = [anchors.starts(folder, seed) for seed in one.seeds]
    small = [number for number, size in enumerate(SIZES) if size < one.labels[0]]
    if not small or any(start is None for start in found):
        return one.labels.astype(float), values
    before = [[start[LIVE][n][one.metric] for n in small] for start in found if start]
    labels = np.array([*(SIZES[n] for n in small), *one.labels], float)
    return labels, np.concatenate([np.array(before), values], axis=1)


def reach(values: Array, goals: Array, labels: Array) -> tuple[float, float, float]:
    """Return labels needed and the ends of its bootstrap interval; NaN where never reached."""
    count = len(values)
    draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    whole = labels_needed(values.mean(axis=0), goals.mean(), labels)
    again = labels_needed(values[draws].mean(axis=1), goals[draws].mean(axis=1), labels)
    ends = np.quantile(
        np.where(np.isnan(again), np.inf, again),
        [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2],
        method="nearest",
    )
    low, high = np.where(np.isinf(ends), np.nan, ends).tolist()
    return float(whole), low, high


def _labels(need: float, labels: Array) -> str:
    if np.isnan(need):
        return f"more than {labels[-1]:.0f}"
    return f"at most {need:.0f}" if need <= labels[0] else f"{need:.0f}"


def _orders(pairs: Sequence[tuple[Curves, Path]]) -> str:
    rows, shares = [], []
    for one, folder in pairs:
        mine, base = one.index(DEFAULT), one.index(RANDOM)
        if mine is None or base is None:
            continue
        values = one.of("multimodal")
        saving = labels_saved(values[mine], values[base], one.labels, one.sign)
        gap = interval(one.sign * (values[mine] - values[base]).mean(axis=1))
        share = saving.saved / saving.reference
        end, most = float(values[base][:, -1].mean()), anchors.whole(folder)
        room = most is not None and one.sign * (most - end) > _ROOM
        if one.kind is TargetKind.CLASSIFICATION and room:
            shares.append(share)
        rows.append(
            [
                one.name,
                f"{gap.mean:+.4f}",
                gap.bounds(4),
                f"{saving.reference:.0f}",
                f"{saving.saved:.0f} ({100 * share:.0f}%)",
                f"{saving.low:.0f} to {saving.high:.0f}",
                f"{end:.3f}",
                "–" if most is None else f"{most:.3f}",
            ]
        )
    middle = (
        f" Median over the {len(shares)} settings with classes where all labels of the set add "
        f"more than {100 * _ROOM:.0f} points to random's end: "
        f"{100 * np.median(shares or [0]):.0f}%."
    )
    return _table(
        "Its order against random, same learner, same first batch",
        "*Saved*: labels fewer than random needs for its own final value. *All labels*: what the "
        "same learner reaches with every label of the set."
        f"{middle if shares else ''}",
        [
            *("setting", "mean lead", "90% interval", "random needs", "saved", "90% interval"),
            *("random's end", "all labels"),
        ],
        rows,
    )


def _heads(pairs: Sequence[tuple[Curves, Path]]) -> str:
    rows = []
    for one, folder in pairs:
        place = one.index(DEFAULT)
        # A head of its own labels answers another question.
        names = [n for n in one.by_strength() if one.schema.unimodal(n) is one.schema.multimodal]
        if place is None or not names:
            continue
        alone = {name: one.head_sign(name) * one.of(name)[place] for name in names}
        best = max(alone, key=lambda name: float(alone[name].mean()))
        row = [one.name, best, *_lowest(one, one.sign * one.of("multimodal")[place] - alone[best])]
        if one.kind is TargetKind.CLASSIFICATION:
            share = _majority(one, folder)
            row += [f"{share:.3f}", *_lowest(one, one.values["accuracy"][place] - share)]
        else:
            row += ["–", "–", "–"]
        rows.append(row)
    return _table(
        "The fused head against the best single head, and the majority",
        "The round in which the fused head does worst beside it: mean difference over seeds, its "
        "90% interval and the round's labels. Heads by the setting's metric, the majority class by "
        f"accuracy over tasks. The lowest of several rounds is low by chance, too. {_ELSEWHERE}",
        [
            *("setting", "best head", "fused minus head, lowest", "90% interval"),
            *("majority", "fused minus majority, lowest", "90% interval"),
        ],
        rows,
    )


def _lowest(one: Curves, gaps: Array) -> tuple[str, str]:
    """Return the lowest mean of (E, R) gaps, and its interval."""
    worst = int(gaps.mean(axis=0).argmin())
    gap = interval(gaps[:, worst])
    return f"{gap.mean:+.3f} (at {one.labels[worst]})", gap.bounds(3)


def _majority(one: Curves, folder: Path) -> float:
    data = curves.data_of(folder)
    truth = np.asarray(data.labels[data.schema.multimodal.name])[data.test]
    return float(np.bincount(truth[truth >= 0]).max() / (truth >= 0).sum())


def _calibration(found: Sequence[Curves]) -> str:
    rows = []
    for one in found:
        grid, late = one.values.get("ece"), one.labels >= _FROM
        if grid is None or not late.any():
            continue
        row = [one.name]
        for name in (RANDOM, DEFAULT):
            place = one.index(name)
            if place is None:
                row.append("–")
                continue
            means = grid[place][:, late].mean(axis=0)
            row.append(f"{means.mean():.3f}, at most {means.max():.3f}")
        rows.append(row)
    return _table(
        "Calibration",
        f"Expected calibration error on the test tasks from {_FROM} labels on: mean over rounds, "
        f"and the highest round. The aim is {CALIBRATED} at most.",
        ["setting", f"{RANDOM} order", f"{DEFAULT} order"],
        rows,
    )


def _starts(pairs: Sequence[tuple[Curves, Path]]) -> str:
    rows = []
    for one, folder in pairs:
        found = [found for seed in one.seeds if (found := anchors.starts(folder, seed))]
        if not found:
            continue
        row = [one.name]
        for number in range(len(SIZES)):
            values = {
                how: np.array([start[how][number][one.metric] for start in found])
                for how in (RANDOM, LIVE)
            }
            gap = interval(one.sign * (values[LIVE] - values[RANDOM]))
            row.append(
                f"{values[RANDOM].mean():.3f} → {values[LIVE].mean():.3f} "
                f"({gap.bounds(3)}){_sure(gap)}"
            )
        rows.append(row)
    return _table(
        "The first batch against a random one",
        "Each model learns from one batch of that size. Random → chosen as in a live project, and "
        "the 90% interval of the lead (numbers: a lower error leads). `·`: it excludes zero. "
        f"{_ELSEWHERE}",
        ["setting", *(f"{size} labels" for size in SIZES)],
        rows,
    )


def _sure(gap: Interval) -> str:
    return " ·" if gap.excludes_zero else ""
