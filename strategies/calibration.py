"""Temperature scaling of probabilities (Guo et al. 2017), as UHerding uses it."""

from __future__ import annotations

import numpy as np

from strategies.pool import HeldOut, TargetKind
from strategies.ranking import Values
from strategies.rows import as_tensor

# Tried from the flattest down: the first of equals is the most cautious.
TEMPERATURES = 2.0 ** np.arange(4, -3.01, -0.25)
BINS = 15


def tempered(p: Values, temperature: float, target: TargetKind) -> Values:
    """Return softmax(logits / T) or sigmoid(logits / T) of probabilities (..., K)."""
    if temperature == 1:
        return p
    tiny = np.finfo(np.float32).tiny
    logits = np.log(np.clip(p, tiny, 1)) / temperature
    if target is TargetKind.MULTILABEL:
        other = np.log(np.clip(1 - p, tiny, 1)) / temperature
        return np.asarray(1 / (1 + np.exp(np.clip(other - logits, -700, 700))))
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def fitted_temperature(held_out: HeldOut, target: TargetKind) -> float:
    """Return the T of the smallest calibration error on held-out predictions (UHerding, sec. 4).

    Multi-label: every label of every task is one yes/no answer.
    """
    p = as_tensor(held_out.probabilities).double().cpu().numpy()
    truth = np.asarray(held_out.truth, np.float64)
    errors = [_error(tempered(p, t, target), truth, target) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(np.round(errors, 12)))])


def _error(p: Values, truth: Values, target: TargetKind) -> float:
    """Return the expected calibration error of the predicted answers."""
    if target is TargetKind.MULTILABEL:
        confidence, hit = np.maximum(p, 1 - p).ravel(), ((p >= 0.5) == (truth >= 0.5)).ravel()
    else:
        confidence, hit = p.max(axis=1), p.argmax(axis=1) == truth
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, hit - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / max(1, len(confidence)))
