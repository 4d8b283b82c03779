"""What a round measured, as people are told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.intervals import LEVEL
from model.measuring import ENOUGH, MAIN
from strategies import TargetKind

Json = dict[str, Any]
NAMES = {
    "accuracy": "right",
    "exact": "all labels right",
    "mae": "mean error",
}
"""Figure -> in words."""


def main_figure(measured: Mapping[str, Any]) -> Json | None:
    """Return the first question's main figure: question, name, value, low, high, n; None so far."""
    for question, found in measured.get("questions", {}).items():
        name = MAIN[TargetKind(found["kind"])]
        value, low, high = found[name]
        return {
            "question": question,
            "name": name,
            "value": value,
            "low": low,
            "high": high,
            "n": found["n"],
        }
    return None


def sentence(measured: Mapping[str, Any]) -> str:
    """Say how good the model is, or what is missing to know."""
    found = main_figure(measured)
    if found is None:
        audited, needed = measured.get("audited", 0), measured.get("needed", ENOUGH)
        return f"not known yet: {audited} of {needed} labels of tasks that chance chose"
    level = measured.get("level", LEVEL)
    if found["name"] == "mae":
        said = f"mean error {found['value']:.3g} ({found['low']:.3g} to {found['high']:.3g}"
    else:
        value, low, high = (f"{100 * found[part]:.0f}%" for part in ("value", "low", "high"))
        said = f"{NAMES[found['name']]} on {value} ({low} to {high}"
    return f"{said} with {level:.0%} confidence; {found['n']} tasks that chance chose)"
