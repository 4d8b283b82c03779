"""The papers' claims on the evidence page: tables, and readings computed from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from experiments import claims as check
from experiments.claims import Finding
from experiments.curves import Curves
from experiments.page import Table, markdown
from experiments.statistics import interval
from experiments.summary import Row, surely_better, surely_worse
from strategies.pool import TargetKind

_BASELINES = ("random", "entropy", "badge")
_WORDS = ("as claimed", "within the noise", "the opposite")
_DOMINANCE = "avdigits-official"


def _each(found: Sequence[Curves], one: Callable[[Curves], Finding | None]) -> list[Finding]:
    return [finding for curves in found if (finding := one(curves)) is not None]


def _baselines(found: Sequence[Curves], name: str) -> list[Finding]:
    others = [other for other in _BASELINES if (name, other) != ("bmmal", "badge")]
    return [finding for curves in found for finding in check.against(curves, name, others)]


def _listed(found: Sequence[Curves]) -> dict[str, list[Finding]]:
    return {
        "BMMAL beats BADGE on the weaker modality's own head": _each(found, check.weaker_modality),
        "BMMAL is better than BADGE on all modalities together": _each(found, check.together),
        "BMMAL narrows the gap between the modalities' contributions": _each(found, check.balance),
        "BMMAL chooses tasks that rest more on the weaker modality": _each(
            found, check.choice_of_balance
        ),
        "BMMAL is better than the baselines": _baselines(found, "bmmal"),
        "GRACE is better than the baselines": _baselines(found, "grace"),
        "GRACE's parts: I < IR < IRE": [one for curves in found for one in check.ablation(curves)],
    }


def in_short(found: Sequence[Curves], rows: Sequence[Sequence[Row]]) -> str:
    """Return the readings, counted."""
    lines = [f"- {title}: {_counted(findings)}." for title, findings in _listed(found).items()]
    for name in ("bmmal", "grace"):
        mine = [row for one in rows for row in one if row.contender == name]
        if mine:
            better = sum(map(surely_better, mine))
            worse = sum(map(surely_worse, mine))
            lines.append(
                f"- {name} against random, corrected for all strategies compared: surely better in "
                f"{better} of {len(mine)} settings, surely worse in {worse}."
            )
    regression = [one for one in found if one.kind is TargetKind.REGRESSION]
    numbers = [line for one in regression if (line := check.saving(one, "grace"))]
    if numbers:
        lines.append("- Labels saved on numbers, where the paper goes from 800 to about 500:")
        lines += [f"  - {line}" for line in numbers]
    return (
        "## In short\n\nCounted from the tables below. *As claimed* and *the opposite* are paired "
        "t-tests at 0.9 for each comparison alone: by chance, one in twenty falls on each "
        "side.\n\n" + "\n".join(lines) + "\n"
    )


def _counted(findings: Sequence[Finding]) -> str:
    if not findings:
        return "nothing run yet speaks to it"
    counts = [(word, sum(one.reading == word for one in findings)) for word in _WORDS]
    said = ", ".join(f"{word} in {count}" for word, count in counts if count)
    return f"{said} of {len(findings)} comparisons"


def claims(found: Sequence[Curves]) -> str:
    """Return a table per claim, and the labels saved."""
    parts = [_table(title, findings) for title, findings in _listed(found).items() if findings]
    savings = [check.saving(one, name) for one in found for name in ("bmmal", "grace")]
    listed = "\n".join(f"- {line}" for line in savings if line)
    if listed:
        parts.append(
            "### Labels saved\n\nGRACE's paper reaches random's error at 800 labels with about "
            "500. Random's own need is where its curve first reaches its final value.\n\n"
            f"{listed}\n"
        )
    return "## The papers' claims\n\n" + "\n".join(parts) if parts else ""


def _table(title: str, findings: Sequence[Finding]) -> str:
    rows = [[*_cells(one), one.reading] for one in findings]
    header = ["setting", "compared", "difference", "90% interval", "p", "reading"]
    said = _counted(findings).capitalize()
    return f"### {title}\n\n{said}.\n\n{markdown(Table(header, rows))}\n"


def _cells(one: Finding) -> list[str]:
    mean = f"{one.difference.mean:+.4f}"
    return [one.setting, one.what, mean, one.difference.bounds(4), f"{one.p:.3f}"]


def dominance(found: Sequence[Curves]) -> str:
    """Compare the plain and the degraded digits."""
    chosen = [one for one in found if one.name.startswith(_DOMINANCE)]
    if len(chosen) < 2:
        return ""
    names = [name for name in (*_BASELINES, "bmmal", "grace") if _in_all(chosen, name)]
    modalities = chosen[0].schema.names
    header = ["setting", "strategy", *(f"{name} alone" for name in modalities)]
    header += [f"contribution of {name}" for name in modalities]
    header += [f"weight of {name}, chosen minus pool" for name in modalities]
    rows = [_reaction(one, name, modalities) for one in chosen for name in names]
    moved = "\n".join(f"- {_leader(one, modalities)}" for one in chosen)
    return (
        "## Moving the dominance\n\nThe same digits, plain and degraded by a stated amount. Under "
        f"random's order, with the last round's labels:\n\n{moved}\n\nAccuracies and contributions "
        "of the last round; what was chosen is compared with the pool at that moment, mean over "
        f"rounds.\n\n{markdown(Table(header, rows))}\n"
    )


def _leader(one: Curves, modalities: Sequence[str]) -> str:
    place = one.reference
    shares = {m: float(one.values[f"contribution:{m}"][place, :, -1].mean()) for m in modalities}
    first = max(shares, key=lambda name: shares[name])
    said = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    return f"{one.name} ({one.plan.title}): {first} contributes most ({said})."


def _reaction(one: Curves, name: str, modalities: Sequence[str]) -> list[str]:
    place = one.contenders.index(name)
    final = [f"{one.of(m)[place, :, -1].mean():.3f}" for m in modalities]
    share = [f"{one.values[f'contribution:{m}'][place, :, -1].mean():.2f}" for m in modalities]
    return [one.name, name, *final, *share, *(_moved(one, place, m) for m in modalities)]


def _moved(one: Curves, place: int, modality: str) -> str:
    gap = one.values[f"chosen:weight:{modality}"] - one.values[f"pool:weight:{modality}"]
    return f"{float(gap[place, :, :-1].mean()):+.4f}"


def _in_all(found: Iterable[Curves], name: str) -> bool:
    return all(one.index(name) is not None for one in found)


def rules(found: Sequence[Curves]) -> str:
    """Compare GRACE's pseudo-label rules for numbers."""
    findings = [finding for one in found for finding in check.rules(one)]
    if not findings:
        return ""
    table = Table(
        ["setting", "compared", "lead of polarity", "90% interval", "p"],
        [_cells(one) for one in findings],
    )
    return (
        "## GRACE's pseudo-labels for numbers\n\nThe paper does not say which label a prediction "
        f"pretends to have. {_rules_read(findings)}\n\n{markdown(table)}\n"
    )


def _rules_read(findings: Sequence[Finding]) -> str:
    """Read the comparisons, one by one and over the settings: those of one setting share a run."""
    better = sum(one.reading == "as claimed" for one in findings)
    worse = sum(one.reading == "the opposite" for one in findings)
    leads: dict[str, list[float]] = {}
    for one in findings:
        leads.setdefault(one.what.partition("=")[2].partition(",")[0], []).append(
            one.difference.mean
        )
    over = {rule: interval(np.array(means)) for rule, means in leads.items()}
    said = (
        f"In {len(findings)} comparisons with another rule the default, `polarity`, is better in "
        f"{better}, worse in {worse} and not to be told apart in {len(findings) - better - worse}. "
        "Its mean lead over the settings is "
        + " and ".join(
            f"{found.mean:+.4f} on `{rule}` (90% interval {found.bounds(4)})"
            for rule, found in over.items()
        )
    )
    if any(found.excludes_zero and found.mean < 0 for found in over.values()):
        return f"{said}: these runs speak against the default."
    if all(found.excludes_zero for found in over.values()):
        return f"{said}: these runs support the default."
    return (
        f"{said}: these runs do not decide. It stays the default as the one rule whose easiness "
        "means what the paper says it means (one polarity in all modalities)."
    )
