"""docs/evidence.md: what the replays say, every number taken from their measurements."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from experiments import alarms, claims, curves, summary
from experiments.claims import Finding
from experiments.curves import Curves
from experiments.figures import learning, matrices
from experiments.figures.learning import axis_name
from experiments.merging import leads, shared, summed_wins
from experiments.page import Table
from experiments.report import numbers
from experiments.stopping import AGREEMENT, WINDOW
from experiments.summary import Row

_HEAD = """# Evidence

Does another order of labelling save labels, and do the papers' claims hold here? This page is
written by `make evidence` from its own runs; nothing on it is copied from a paper, and nothing was
left out because it looked bad. The runs use small frozen features on public data (see
`experiments/sets/`) with a short training (60 updates, or 8 epochs where that is more) on two
processor cores: they show *shapes*, not the papers' numbers, whose data and networks are far
larger.

How to read it: every comparison is **paired by seed**, because within a seed all strategies start
from the same labels and the same model. A *lead* is the mean difference to random over all rounds.
Intervals are 90% intervals over seeds; p values are two-sided, per setting corrected for the number
of strategies (Holm). With five seeds, differences below about one point are mostly noise.
"""


def write(folders: Sequence[Path], docs: Path, unfinished: Sequence[str] = ()) -> Path:
    """Write the page and its pictures; returns the page.

    Args:
        folders: replays with at least one seed that every strategy has finished.
        docs: the folder `docs`.
        unfinished: planned settings that have no finished seed yet; the page names them.
    """
    found = [curves.load(folder) for folder in folders]
    pictures = docs / "evidence"
    pictures.mkdir(parents=True, exist_ok=True)
    rows = [summary.rows(one) for one in found]
    for one in found:
        learning.draw_curves(one, pictures / f"{one.name}-curves.png")
        learning.draw_areas(one, pictures / f"{one.name}-areas.png")
    classes = [one for one in found if len(one.contenders) > 1 and one.index("bmmal") is not None]
    if len(classes) > 1:
        matrices.draw_wins(
            summed_wins(classes, shared(classes)),
            shared(classes),
            pictures / "wins.png",
            most=float(len(classes)),
        )
    parts = [
        _HEAD,
        _overview(found, rows, unfinished),
        _claims(found),
        _dominance(found),
        _rules(found),
        _stopping(found, folders),
        _wins_text(classes),
        *(_setting(one, mine) for one, mine in zip(found, rows, strict=True)),
    ]
    page = docs / "evidence.md"
    beside = page.with_suffix(".writing")
    beside.write_text("\n".join(part for part in parts if part))
    os.replace(beside, page)
    return page


def _overview(found: Sequence[Curves], rows: Sequence[list[Row]], unfinished: Sequence[str]) -> str:
    sizes = [
        [
            one.name,
            str(one.kind),
            f"{one.labels[0]} + {len(one.labels) - 1} x {one.plan.batch}",
            str(one.plan.pool or "all"),
            str(len(one.seeds)),
            str(len(one.contenders)),
        ]
        for one in found
    ]
    table = Table(["setting", "target", "labels", "pool", "seeds", "strategies"], sizes)
    gaps = f"Planned and not run yet: {', '.join(unfinished)}.\n\n" if unfinished else ""
    return (
        "## Settings\n\nThe first setting compares every strategy; the others those that the "
        f"papers compare most.\n\n{_markdown(table)}\n\n{gaps}## Leads on random\n\nIn points of "
        "accuracy (mean over classes), for numbers in hundredths of the error's unit; positive is "
        "better. `*`: real after Holm's correction; `·`: the 90% interval alone excludes zero.\n\n"
        f"{_markdown(leads(found, rows))}\n"
    )


def _claims(found: Sequence[Curves]) -> str:
    lines = ["## The papers' claims\n"]
    single: list[tuple[str, Callable[[Curves], Finding | None]]] = [
        ("BMMAL beats BADGE on the weaker modality's own head", claims.weaker_modality),
        ("BMMAL is better than BADGE on all modalities together", claims.together),
        ("BMMAL narrows the gap between the modalities' contributions", claims.balance),
        ("BMMAL chooses tasks that rest more on the weaker modality", claims.choice_of_balance),
    ]
    for title, check in single:
        findings = [one for curve in found if (one := check(curve)) is not None]
        lines.append(_finding_table(title, findings))
    for name in ("bmmal", "grace"):
        findings = [
            finding
            for curve in found
            for finding in claims.against(curve, name, ["random", "entropy", "badge"])
            if not (name == "bmmal" and "badge" in finding.what)
        ]
        lines.append(_finding_table(f"{name.upper()} is better than the baselines", findings))
    findings = [finding for curve in found for finding in claims.ablation(curve)]
    lines.append(_finding_table("GRACE's parts: I < IR < IRE", findings))
    savings = [claims.saving(one, name) for one in found for name in ("bmmal", "grace")]
    lines.append(
        "### Labels saved\n\nGRACE's paper reaches random's error at 800 labels with about 500. "
        "Random's own need is where its curve first reaches its final value.\n\n"
        + "\n".join(f"- {line}" for line in savings if line)
        + "\n"
    )
    return "\n".join(lines)


def _finding_table(title: str, findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    counts = {
        word: sum(one.reading == word for one in findings)
        for word in ("as claimed", "within the noise", "the opposite")
    }
    said = ", ".join(f"{word} in {count}" for word, count in counts.items() if count)
    rows = [
        [
            one.setting,
            one.what,
            _signed(one.difference.mean),
            _bounds(one),
            f"{one.p:.3f}",
            one.reading,
        ]
        for one in findings
    ]
    header = ["setting", "compared", "difference", "90% interval", "p", "reading"]
    table = _markdown(Table(header, rows))
    return f"### {title}\n\nOf {len(findings)} comparisons: {said}.\n\n{table}\n"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _bounds(one: Finding) -> str:
    return f"{one.difference.low:+.4f} to {one.difference.high:+.4f}"


def _dominance(found: Sequence[Curves]) -> str:
    """Compare the plain and the degraded digits."""
    chosen = [one for one in found if one.name.startswith("avdigits-official")]
    if len(chosen) < 2:
        return ""
    names = [n for n in ("random", "entropy", "badge", "bmmal", "grace") if _in_all(chosen, n)]
    header = ["setting", "strategy"]
    modalities = chosen[0].schema.names
    header += [f"{name} alone" for name in modalities]
    header += [f"contribution of {name}" for name in modalities]
    header += [f"weight of {name}, chosen minus pool" for name in modalities]
    rows = []
    for one in chosen:
        for name in names:
            place = one.contenders.index(name)
            final = [f"{one.of(m)[place, :, -1].mean():.3f}" for m in modalities]
            share = [
                f"{one.values[f'contribution:{m}'][place, :, -1].mean():.2f}" for m in modalities
            ]
            moved = [_moved(one, place, m) for m in modalities]
            rows.append([one.name, name, *final, *share, *moved])
    return (
        "## Moving the dominance\n\nThe same digits, once plain and once with Gaussian noise of "
        "one standard deviation on every picture. Accuracies and contributions of the last round; "
        "what was chosen is compared with the pool at that moment, mean over rounds.\n\n"
        f"{_markdown(Table(header, rows))}\n"
    )


def _moved(one: Curves, place: int, modality: str) -> str:
    gap = one.values[f"chosen:weight:{modality}"] - one.values[f"pool:weight:{modality}"]
    return _signed(float(gap[place, :, :-1].mean()))


def _in_all(found: Iterable[Curves], name: str) -> bool:
    return all(one.index(name) is not None for one in found)


def _rules(found: Sequence[Curves]) -> str:
    findings = [finding for one in found for finding in claims.rules(one)]
    if not findings:
        return ""
    real = [one for one in findings if one.reading != "within the noise"]
    better = [one for one in real if one.difference.mean > 0]
    text = (
        "No rule is distinguishable from another, so the default stays `polarity`, the one whose "
        "scores mean what the paper says they mean."
        if not real
        else f"The default `polarity` is surely better in {len(better)} of {len(findings)} "
        f"comparisons and surely worse in {len(real) - len(better)}."
    )
    rows = [
        [one.setting, one.what, _signed(one.difference.mean), _bounds(one), f"{one.p:.3f}"]
        for one in findings
    ]
    table = Table(["setting", "compared", "lead of polarity", "90% interval", "p"], rows)
    return (
        "## GRACE's pseudo-labels for numbers\n\nThe paper does not say which label a prediction "
        f"pretends to have. {text}\n\n{_markdown(table)}\n"
    )


def _stopping(found: Sequence[Curves], folders: Sequence[Path]) -> str:
    measured = [alarms.measure(one, folder) for one, folder in zip(found, folders, strict=True)]
    rows = [
        [
            one.name,
            str(alarm.moments),
            str(alarm.flat),
            str(alarm.given),
            str(alarm.false),
            "–" if not alarm.given else f"{100 * alarm.false_rate:.0f}%",
            f"{alarm.yield_:.2f}",
        ]
        for one, alarm in zip(found, measured, strict=True)
    ]
    given, false = sum(a.given for a in measured), sum(a.false for a in measured)
    joint = f"{false} of {given} ({100 * false / given:.0f}%)" if given else "none given"
    header = ["setting", "moments", "flat", "hints", "wrong", "false alarms", "gain per change"]
    return (
        "## The stopping hint\n\n`equipoise status` says that the curve has flattened when the "
        f"last {WINDOW} models agree with the ones before at {AGREEMENT:.2f} or more "
        "(Cohen's kappa on unlabelled tasks; Lin's concordance for numbers). Replayed at every "
        "round of every run; *wrong* means that a later round was still better by more than "
        f"{100 * alarms.TOLERANCE:.0f} point. In all: {joint} hints were wrong. *Gain per change*: "
        f"improvement by the next batch per share of predictions changed.\n\n"
        f"{_markdown(Table(header, rows))}\n"
    )


def _wins_text(classes: Sequence[Curves]) -> str:
    if len(classes) < 2:
        return ""
    return (
        f"## Who beats whom\n\nSum over {len(classes)} settings of the share of rounds that the "
        f"row wins against the column (two-sided paired t-test at 0.9, as BMMAL Fig. 5); at most "
        f"{len(classes)}, by chance about {0.05 * len(classes):.2f}.\n\n"
        "![Pairwise wins](evidence/wins.png)\n"
    )


def _setting(one: Curves, rows: list[Row]) -> str:
    pictures = f"![Learning curves](evidence/{one.name}-curves.png)\n\n"
    pictures += f"![Leads on random](evidence/{one.name}-areas.png)\n"
    return (
        f"## {one.name}\n\n{one.plan.title}. Metric: {axis_name(one.metric)}.\n\n"
        f"{summary.verdict(one, rows)}\n\n{_markdown(numbers(one, rows))}\n\n{pictures}"
    )


def _markdown(table: Table) -> str:
    lines = ["| " + " | ".join(table.header) + " |"]
    lines.append("|" + "|".join(["---"] + ["---:"] * (len(table.header) - 1)) + "|")
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table.rows
    ]
    return "\n".join(lines)
