"""What a network can give to a strategy, and what to do where it cannot."""

from __future__ import annotations

from model import pseudo_labels
from model.inputs import Inputs
from model.model import Model
from strategies.pool import Need, TargetKind


def check_needs(model: Model, needs: frozenset[Need], labelled: Inputs | None, rule: str) -> None:
    """Raise ValueError, saying what to do, where a network cannot give what a strategy needs.

    Args:
        model: a trained model.
        needs: the arrays that are asked for.
        labelled: the labelled tasks, if they were given.
        rule: GRACE's pseudo-label for regression.
    """
    built = model.preset.network
    kind = model.schema.ranking.kind
    if Need.COALITIONS in needs and kind is TargetKind.REGRESSION:
        raise ValueError(
            "coalition values V(S) are the probability of a pseudo-class and are not defined for "
            "regression; choose grace, coreset or random"
        )
    if Need.GRADIENTS in needs and (model.network.last is None or model.network.by_maps):
        raise ValueError(
            "GRACE reads the gradient of each modality's last layer, which this network lacks "
            f"(fusion {built.fusion!r}, projection {built.projection}); train with "
            "a projection width and a fusion other than nl_gate on maps, or choose bmmal"
        )
    numbers = any(q.kind is TargetKind.REGRESSION for q in model.schema.questions)
    draws = Need.GRADIENTS in needs and rule == "mc_mean" and numbers
    if draws and not model.network.stochastic:
        raise ValueError(
            "mc_mean: this network has no dropout to draw from; set the preset's dropout, or "
            "choose the pseudo-label polarity or teacher"
        )
    if Need.MC_PROBABILITIES in needs and not model.network.stochastic:
        raise ValueError("this network has no dropout to draw from; set the preset's dropout")
    if Need.LABELLED_FEATURES in needs and labelled is None:
        raise ValueError("this strategy needs the labelled tasks: pass labelled=")
    if rule not in pseudo_labels.RULES:
        choices = ", ".join(pseudo_labels.RULES)
        raise ValueError(f"no pseudo-label rule {rule!r}; choose one of {choices}")
