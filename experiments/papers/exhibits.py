"""Every table and figure of the two papers: which replays it needs, and what is shown of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.papers import shown
from experiments.papers.shown import Shown

_BMMAL = ("food101", "kineticssound", "vggsound")


@dataclass(frozen=True)
class Exhibit:
    """A table or figure.

    Attributes:
        title: what it is.
        runs: names of its replays.
        show: draws it, and returns what is printed.
        prints: what that is.
        full: whether it has a row of networks that learned all labels.
    """

    title: str
    runs: tuple[str, ...]
    show: Callable[[Shown], list[str]]
    prints: str
    full: bool = False


_OVER = "means over seeds by number of labels"
_LAST = "mean and deviation over seeds in the last round"
EXHIBITS: dict[str, Exhibit] = {
    "bmmal-fig2": Exhibit(
        "contribution of each modality to the true class", _BMMAL, shown.contributions, _OVER
    ),
    "bmmal-fig3": Exhibit(
        "gap between the modalities' contributions", _BMMAL, shown.contribution_gaps, _OVER
    ),
    "bmmal-fig4": Exhibit(
        "learning curves, all heads",
        _BMMAL,
        shown.learning_curves,
        f"macro and micro Top-1: {_LAST}",
    ),
    "bmmal-fig5": Exhibit(
        "pairwise wins", _BMMAL, shown.pairwise_wins, "three matrices with column averages"
    ),
    "bmmal-fig6": Exhibit(
        "weight of the weaker modality where the other dominates",
        _BMMAL,
        shown.weak_weights,
        _OVER,
    ),
    "bmmal-fig7": Exhibit(
        "learning curves with the NL-gate", ("vggsound-gate",), shown.learning_curves, _LAST
    ),
    "bmmal-fig8": Exhibit(
        "each modality's own gain by class, BMMAL against BADGE",
        ("vggsound",),
        shown.class_gains,
        "the ten classes that differ most",
    ),
    "bmmal-table1": Exhibit("VGGSound with 25,000 labels", ("vggsound-25k",), shown.tables, _LAST),
    "bmmal-guidelines": Exhibit(
        "dominance and contributions of the chosen", _BMMAL, shown.guidelines, "chosen less pool"
    ),
    "grace-fig4": Exhibit("learning curves, CH-SIMS v2", ("simsv2",), shown.score_curves, _LAST),
    "grace-fig5": Exhibit("learning curves, CHERMA", ("cherma",), shown.learning_curves, _LAST),
    "grace-fig6": Exhibit(
        "what each criterion adds: GRACE-I, -IR and whole",
        ("simsv2", "cherma"),
        shown.learning_curves,
        _LAST,
    ),
    "grace-fig7": Exhibit(
        "easiness of the chosen in each round", ("simsv2", "cherma"), shown.easiness, _OVER
    ),
    "grace-fig8": Exhibit(
        "the chosen of all rounds by polarity",
        ("simsv2",),
        shown.polarity_map,
        "shares of negative, neutral and positive",
    ),
    "grace-table1": Exhibit(
        "CH-SIMS v2 with 800 labels, and with all", ("simsv2",), shown.tables, _LAST, full=True
    ),
    "grace-table2": Exhibit(
        "CHERMA with 5,000 labels, and with all", ("cherma",), shown.tables, _LAST, full=True
    ),
}
