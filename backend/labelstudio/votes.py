"""What several annotators say of each task -> one label each, as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from backend.labelstudio.annotations import Labelled
from backend.labelstudio.results import Value
from model.schema import Target
from strategies.pool import TargetKind


def label_arrays(
    labelled: Sequence[Labelled], targets: Iterable[Target], *, soft: bool = False
) -> dict[str, np.ndarray[Any, Any]]:
    """Turn labels into arrays: majority vote for classes, mean for numbers.

    Args:
        labelled: N tasks.
        targets: what to read of them.
        soft: keep what annotators disagree about: the share of votes per class or label.

    Returns:
        target name -> (N,) int64 class indices (-1: not said), (N, K) 0/1 for multilabel (a row of
        NaN: not said), or (N,) floats for regression (NaN: not said); with `soft`, (N, K) shares
        for both kinds of classes (a row of NaN: not said).
    """
    return {
        t.name: _column([item.values.get(t.name, ()) for item in labelled], t, soft)
        for t in targets
    }


def _column(votes: Sequence[tuple[Value, ...]], target: Target, soft: bool) -> np.ndarray[Any, Any]:
    index = {name: i for i, name in enumerate(target.classes)}
    if target.kind is TargetKind.REGRESSION:
        return np.array([_mean(v) for v in votes], dtype=np.float64)
    if target.kind is TargetKind.MULTILABEL:
        shares = _shares(votes, index)
        # Unknown stays unknown: it must not become "none of them".
        return shares if soft else np.where(np.isnan(shares), shares, shares >= 0.5)
    if soft:
        return _shares(votes, index)
    # Ties go to the class that was said first, so a repeated round sees the same label.
    return np.array(
        [index[Counter(v).most_common(1)[0][0]] if v else -1 for v in votes],  # type: ignore[index]
        dtype=np.int64,
    )


def _shares(votes: Sequence[tuple[Value, ...]], index: Mapping[str, int]) -> np.ndarray[Any, Any]:
    """Return the share of annotations that chose each class: (N, K), NaN where there is none."""
    counts = np.zeros((len(votes), len(index)))
    for row, vote in enumerate(votes):
        for chosen in vote:
            for name in (chosen,) if isinstance(chosen, str) else chosen:  # type: ignore[union-attr]
                counts[row, index[str(name)]] += 1
    total = np.array([[float(len(vote))] for vote in votes]).reshape(-1, 1)
    shares: np.ndarray[Any, Any] = np.divide(
        counts, total, out=np.full_like(counts, np.nan), where=total > 0
    )
    return shares


def _mean(vote: tuple[Value, ...]) -> float:
    numbers = [value for value in vote if isinstance(value, float)]
    return sum(numbers) / len(numbers) if numbers else float("nan")
