"""The papers' claims, each checked on every replay that can speak to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.curves import Curves
from experiments.statistics import Interval, area, interval, labels_saved, p_value
from strategies.pool import TargetKind

SURE = 0.1


@dataclass(frozen=True)
class Finding:
    """One claim on one replay.

    Attributes:
        setting: name of the replay.
        what: what was compared.
        difference: paired by seed; positive speaks for the claim.
        p: two-sided paired t-test.
    """

    setting: str
    what: str
    difference: Interval
    p: float

    @property
    def reading(self) -> str:
        """Return what the numbers say."""
        if self.p >= SURE:
            return "within the noise"
        return "as claimed" if self.difference.mean > 0 else "the opposite"


def compared(curves: Curves, one: str, other: str, head: str) -> Finding | None:
    """Compare two contenders' areas under a head's curve; None unless both are there."""
    places = curves.index(one), curves.index(other)
    if places[0] is None or places[1] is None:
        return None
    areas = curves.head_sign(head) * area(curves.of(head), curves.labels)
    gap = areas[places[0]] - areas[places[1]]
    name = "all modalities" if head == "multimodal" else f"{head} alone"
    return Finding(curves.name, f"{one} against {other}, {name}", interval(gap), p_value(gap))


def weaker_modality(curves: Curves) -> Finding | None:
    """BMMAL beats BADGE on the weaker modality's own head."""
    modalities = curves.by_strength()
    return compared(curves, "bmmal", "badge", modalities[-1]) if len(modalities) > 1 else None


def together(curves: Curves) -> Finding | None:
    """BMMAL is at least as good as BADGE on all modalities together."""
    return compared(curves, "bmmal", "badge", "multimodal")


def balance(curves: Curves) -> Finding | None:
    """BMMAL's models rest more evenly on the modalities than BADGE's (contributions, Fig. 2)."""
    places = curves.index("bmmal"), curves.index("badge")
    names = [n for n in curves.schema.names if f"contribution:{n}" in curves.values]
    if places[0] is None or places[1] is None or len(names) < 2:
        return None
    shares = np.stack([curves.values[f"contribution:{name}"] for name in names])
    gap = (shares.max(axis=0) - shares.min(axis=0))[:, :, 1:].mean(axis=2)
    less = gap[places[1]] - gap[places[0]]
    what = "gap between the modalities' contributions, badge minus bmmal"
    return Finding(curves.name, what, interval(less), p_value(less))


def choice_of_balance(curves: Curves) -> Finding | None:
    """BMMAL chooses tasks on which the weaker modality weighs more than BADGE does (Fig. 6)."""
    places = curves.index("bmmal"), curves.index("badge")
    modalities = curves.by_strength()
    name = f"chosen:weight:{modalities[-1]}" if modalities else ""
    if places[0] is None or places[1] is None or name not in curves.values:
        return None
    weights = curves.values[name][:, :, :-1].mean(axis=2)
    more = weights[places[0]] - weights[places[1]]
    what = f"weight of {modalities[-1]} in the chosen tasks, bmmal minus badge"
    return Finding(curves.name, what, interval(more), p_value(more))


def ablation(curves: Curves) -> list[Finding]:
    """GRACE-I < GRACE-IR < GRACE."""
    pairs = (("grace_ir", "grace_i"), ("grace", "grace_ir"))
    found = [compared(curves, one, other, "multimodal") for one, other in pairs]
    return [finding for finding in found if finding is not None]


def rules(curves: Curves) -> list[Finding]:
    """Compare the other pseudo-label rules of GRACE with the default on numbers."""
    if curves.kind is not TargetKind.REGRESSION:
        return []
    others = [name for name in curves.contenders if name.startswith("grace:pseudo_label=")]
    found = [compared(curves, "grace", name, "multimodal") for name in others]
    return [finding for finding in found if finding is not None]


def against(curves: Curves, name: str, others: Sequence[str]) -> list[Finding]:
    """Compare one contender with others on all modalities."""
    found = [compared(curves, name, other, "multimodal") for other in others]
    return [finding for finding in found if finding is not None]


def saving(curves: Curves, name: str) -> str:
    """Say how many labels a contender needs for random's final value."""
    place = curves.index(name)
    if place is None:
        return ""
    values = curves.of("multimodal")
    found = labels_saved(values[place], values[curves.reference], curves.labels, curves.sign)
    base = curves.contenders[curves.reference]
    own = curves.sign * values[curves.reference].mean(axis=0)
    if own[-1] <= own[0]:
        return f"{curves.name}: {base}'s own curve does not rise, so there is nothing to save."
    if found.needed is None:
        return f"{curves.name}: {name} never reaches {base}'s final value."
    return (
        f"{curves.name}: for {base}'s final value {name} needs about {found.needed:.0f} labels, "
        f"{base} itself {found.reference:.0f} (saved {found.saved:.0f}, 90% interval "
        f"{found.low:.0f} to {found.high:.0f}; reached in {100 * found.reached:.0f}% of resamples)."
    )
