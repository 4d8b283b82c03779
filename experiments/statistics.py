"""What the measurements support: intervals, areas, labels saved and significant wins.

Seeds are the unit of repetition, and every comparison is paired by seed: within a seed all
contenders start from the same labels and the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.9
RESAMPLES = 2000
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0

    def bounds(self, digits: int) -> str:
        """Return its ends for people; a dash where there is only one repetition."""
        if np.isnan(self.low):
            return "–"
        return f"{self.low:+.{digits}f} to {self.high:+.{digits}f}"


@dataclass(frozen=True)
class Saving:
    """Labels that a contender needs less than the reference for the reference's final value.

    The reference's own need is where its curve first reaches its final value, not the last round:
    on a noisy or flat curve that is earlier, and counting from the end would flatter everybody.

    Attributes:
        needed: labels needed, by linear interpolation of the mean curve; None if never reached.
        reference: labels that the reference itself needs.
        saved: reference less needed; negative if more labels are needed. A value that is never
            reached counts as if the last round reached it.
        low: lower end of the bootstrap interval of `saved`.
        high: its upper end.
        reached: share of resamples in which the value was reached at all.
    """

    needed: float | None
    reference: float
    saved: float
    low: float
    high: float
    reached: float


def standard_error(values: Array, axis: int = 0) -> Array:
    """Return the standard error of the mean over repetitions; NaN for one only."""
    count = values.shape[axis]
    if count < 2:
        return np.full(np.delete(values.shape, axis), np.nan)
    return np.asarray(values.std(axis=axis, ddof=1) / np.sqrt(count))


def half_width(values: Array, axis: int = 0, confidence: float = CONFIDENCE) -> Array:
    """Return the half width of the t interval of the mean over repetitions; NaN for one only."""
    factor = stats.t.ppf(0.5 + confidence / 2, values.shape[axis] - 1)
    return np.asarray(factor * standard_error(values, axis))


def interval(values: Array, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean of (E,) repetitions with its t interval."""
    mean, width = float(values.mean()), float(half_width(values, 0, confidence))
    return Interval(mean, mean - width, mean + width)


def p_values(differences: Array) -> Array:
    """Return p values of two-sided paired t-tests over seeds, (..., E, R) -> (..., R).

    Differences that are all zero have p 1; all equal and not zero, 0.
    """
    count = differences.shape[-2]
    mean = differences.mean(axis=-2)
    if count < 2:
        return np.ones_like(mean)
    error = standard_error(differences, axis=-2)
    constant = np.ptp(differences, axis=-2) == 0
    ratio = np.divide(mean, error, out=np.zeros_like(mean), where=~constant)
    found = 2 * stats.t.sf(np.abs(ratio), count - 1)
    return np.asarray(np.where(constant, np.where(mean == 0, 1.0, 0.0), found))


def p_value(differences: Array) -> float:
    """Return the p value of a two-sided paired t-test of (E,) differences."""
    return float(p_values(differences[:, None])[0])


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for having made several comparisons (Holm 1979)."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return [float(value) for value in adjusted]


def area(values: Array, labels: npt.NDArray) -> Array:
    """Return the area under curves (..., R) over the number of labels, as a mean height."""
    span = labels[-1] - labels[0]
    return np.asarray(np.trapezoid(values, labels, axis=-1) / span)


def wins(values: Array, sign: int, confidence: float = CONFIDENCE) -> Array:
    """Count significant wins as BADGE and BMMAL (Fig. 5) do.

    For each pair and each number of labels after the first, a two-sided paired t-test over seeds;
    a win counts 1/L, with L the numbers of labels compared.

    Args:
        values: (S, E, R).
        sign: 1 if higher is better, else -1.
        confidence: of the test.

    Returns:
        (S, S): how much row beats column, from 0 to 1.
    """
    later = sign * values[:, :, 1:]
    gaps = later[:, None] - later[None]
    won = (gaps.mean(axis=2) > 0) & (p_values(gaps) < 1 - confidence)
    return np.asarray(won.mean(axis=2))


def labels_needed(curve: Array, goal: Array | float, labels: npt.NDArray) -> Array:
    """Return where curves (..., R), higher is better, first reach goals (...); NaN if they do not.

    Between two numbers of labels the curve is a line.
    """
    curve = np.asarray(curve)
    reached = curve >= np.asarray(goal)[..., None]
    first = np.argmax(reached, axis=-1)
    before = np.maximum(first - 1, 0)
    low, high = _at(curve, before), _at(curve, first)
    rise = np.where(high > low, high - low, 1.0)
    share = np.where(first > 0, (goal - low) / rise, 0.0)
    place = labels[before] + share * (labels[first] - labels[before])
    return np.asarray(np.where(reached.any(axis=-1), place, np.nan))


def _at(curve: Array, place: npt.NDArray) -> Array:
    return np.asarray(np.take_along_axis(curve, place[..., None], axis=-1)[..., 0])


def labels_saved(
    values: Array,
    reference: Array,
    labels: npt.NDArray,
    sign: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Saving:
    """Compare a contender's mean curve with the reference's final mean value.

    Args:
        values: (E, R) of the contender.
        reference: (E, R), usually random's; seeds are resampled together.
        labels: (R,).
        sign: 1 if higher is better, else -1.
        resamples: of the bootstrap over seeds.
        seed: of the bootstrap.
    """
    ours, theirs = sign * values, sign * reference
    everyone = np.arange(len(values))[None]
    again = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    once, base = (_needed(ours, theirs, rows, labels) for rows in (everyone, again))
    saved = base[1] - np.where(np.isnan(base[0]), labels[-1], base[0])
    low, high = np.quantile(saved, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    mine, its = float(once[0][0]), float(once[1][0])
    never = bool(np.isnan(mine))
    return Saving(
        None if never else mine,
        its,
        its - (float(labels[-1]) if never else mine),
        float(low),
        float(high),
        float(np.isfinite(base[0]).mean()),
    )


def _needed(
    ours: Array, theirs: Array, rows: npt.NDArray[np.int64], labels: npt.NDArray
) -> tuple[Array, Array]:
    """Return (B,) labels that contender and reference need, for each (B, E) draw of seeds."""
    reference = theirs[rows].mean(axis=1)
    goal = reference[:, -1]
    return labels_needed(ours[rows].mean(axis=1), goal, labels), labels_needed(
        reference, goal, labels
    )
