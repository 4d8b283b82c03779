"""The stopping hint on the evidence page: how often it is wrong where it was not tuned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments import alarms
from experiments.alarms import Alarms, Moment
from experiments.curves import Curves
from experiments.page import Table, markdown
from model.stopping import CALIBRATION, WINDOW, Calibration

_COUNTED = ("given", "false")
_HEADER = ("moments", "flat", "hints", "wrong", "false alarms", "gain per change")


def _moments(found: Sequence[Curves], folders: Sequence[Path]) -> dict[str, list[Moment]]:
    pairs = zip(found, folders, strict=True)
    return {one.name: alarms.moments(one, folder) for one, folder in pairs}


def _by_data(moments: dict[str, list[Moment]]) -> dict[str, list[Moment]]:
    """Join the settings of one data set: its variants say much the same."""
    groups: dict[str, list[Moment]] = {}
    for name, mine in moments.items():
        groups.setdefault(name.partition("-")[0], []).extend(mine)
    return groups


def section(found: Sequence[Curves], folders: Sequence[Path]) -> tuple[str, Calibration]:
    """Return the page's section, and the hint's calibration that it describes.

    The threshold is tuned on all replays; the reliability is that on settings left out. With
    only one setting, or no hint on what was left out, the present calibration stays.
    """
    moments = _moments(found, folders)
    left_out = alarms.held_out(moments)
    given, wrong = (sum(getattr(one, part) for _, one in left_out.values()) for part in _COUNTED)
    everything = [one for mine in moments.values() for one in mine]
    used = CALIBRATION
    if given:
        share = round(max(0.0, alarms.count(everything).yield_), 3)
        used = Calibration(alarms.tune(list(moments.values())), share, given, wrong)
    rows = [[name, *_cells(alarms.count(mine, used.agreement))] for name, mine in moments.items()]
    text = (
        "## The stopping hint\n\n`equipoise status` says that the curve has flattened when the "
        f"last {WINDOW} models agree with the ones before at {used.agreement:.2f} or more "
        "(Cohen's kappa on unlabelled tasks; Lin's concordance for numbers). Replayed at every "
        "round of every run. *Flat*: the rest of the curve, mean over seeds, brought at most "
        f"{100 * alarms.TOLERANCE:.0f} point (numbers: 1% of their range); *wrong*: a hint where "
        "it was not flat. *Gain per change*: improvement by the next batch per share of "
        f"predictions changed.\n\n{_left_out_text(left_out)}{_other_data(moments)}"
        f"With the threshold of these runs, {used.agreement:.2f}, which all of these settings "
        f"helped to choose:\n\n{markdown(Table(['setting', *_HEADER], rows))}\n"
    )
    return text, used


def _left_out_text(found: dict[str, tuple[float, Alarms]]) -> str:
    if not found:
        return ""
    given, wrong = (sum(getattr(one, part) for _, one in found.values()) for part in _COUNTED)
    share = f" ({100 * wrong / given:.0f}%)" if given else ""
    rows = [[name, f"{threshold:.2f}", *_cells(one)] for name, (threshold, one) in found.items()]
    table = Table(["setting left out", "threshold", *_HEADER], rows)
    return (
        "The honest rate is that on a setting that had no say: for each one the threshold is "
        f"tuned on all others (the lowest with at least {alarms.LEAST_HINTS} hints and at most "
        f"{100 * alarms.ACCEPTED:.0f}% wrong ones in each of them, else the one that is wrong "
        "least), then measured on it. "
        f"**{wrong} of {given}{share} hints were "
        f"wrong.**\n\n{markdown(table)}\n\n"
    )


def _other_data(moments: dict[str, list[Moment]]) -> str:
    found = alarms.held_out(_by_data(moments))
    told = [
        f"{name} with the others' threshold, {threshold:.2f}: {one.false} of {one.given} wrong"
        for name, (threshold, one) in found.items()
        if one.given
    ]
    if not told:
        return ""
    return (
        "Settings of one data set have much in common. Leaving out whole data sets is harder, as "
        f"few models come to agree so well on the others: {'; '.join(told)}. On data unlike these, "
        "trust your own curve before the hint.\n\n"
    )


def _cells(one: Alarms) -> list[str]:
    rate = "–" if not one.given else f"{100 * one.false_rate:.0f}%"
    counts = [str(value) for value in (one.moments, one.flat, one.given, one.false)]
    return [*counts, rate, f"{one.yield_:.2f}"]
