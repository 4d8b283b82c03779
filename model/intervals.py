"""Intervals around what is measured on a few labels.

SciPy is loaded where it is needed: whoever only wants the names of these figures need not wait.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from strategies.pool import BoolArray, FloatArray, IntArray

LEVEL = 0.9
"""How often an interval is to hold the truth."""
DRAWS = 500
Interval = tuple[float, float, float]
"""A value and the ends of its interval."""


def wilson(hits: BoolArray, level: float = LEVEL) -> Interval:
    """Return a share of (n,) booleans, n >= 1, with Wilson's score interval."""
    from scipy import special

    n, share = len(hits), float(np.mean(hits))
    z = float(special.ndtri((1 + level) / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return share, max(0.0, float(middle - half)), min(1.0, float(middle + half))


def bootstrap(
    measure: Callable[[IntArray], float], n: int, level: float = LEVEL, draws: int = DRAWS
) -> Interval:
    """Return a measure of n samples with its expanded percentile interval.

    Args:
        measure: rows (n,) -> value; NaN where these rows cannot be measured.
        n: number of samples, at least 2.
        level: how often the interval is to hold the truth.
        draws: resamples; always the same ones for the same n.

    Note: percentiles alone are too narrow for few samples; these are as far out as Student's t
    makes them (Hesterberg 2015, section 3.4).
    """
    from scipy import special

    rng = np.random.default_rng(n)
    found = [measure(rng.integers(0, n, n)) for _ in range(draws)]
    t = float(special.stdtrit(n - 1, (1 - level) / 2)) * np.sqrt(n / (n - 1))
    outer = float(special.ndtr(t))
    low, high = np.nanquantile(found, [outer, 1 - outer])
    value = measure(np.arange(n))
    return value, min(float(low), value), max(float(high), value)


def mean(values: FloatArray, level: float = LEVEL) -> Interval:
    """Return a mean of (n,) values, n >= 2, with Student's interval."""
    from scipy import special

    value, error = float(values.mean()), values.std(ddof=1) / np.sqrt(len(values))
    half = special.stdtrit(len(values) - 1, (1 + level) / 2) * error
    return value, value - float(half), value + float(half)
