"""Views: the named parts of a prepared vector, each of which sees a value in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class View:
    """Neighbouring columns of a prepared vector that mean one thing.

    Attributes:
        name: what looked, e.g. `minilm`.
        width: columns; 0 where the data decide (the features of a sequence), see `measured`.
        kind: `dense` numbers are standardised on the pool; `counts` are non-negative and sparse
            (hashed n-grams) and are reduced on the pool.
        pretrained: whether it means something before any label is seen.
    """

    name: str
    width: int
    kind: Literal["dense", "counts"] = "dense"
    pretrained: bool = False


def measured(views: Sequence[View], width: int) -> tuple[View, ...]:
    """Return the views of vectors (N, width); the one that left its width open takes the rest."""
    rest = width - sum(view.width for view in views)
    if rest < 0 or (rest > 0) != any(view.width == 0 for view in views):
        raise ValueError(f"vectors of width {width} do not hold the views {list(views)}")
    return tuple(replace(view, width=view.width or rest) for view in views)


def columns(views: Sequence[View]) -> dict[str, slice]:
    """Return where each view lies in a vector."""
    places, start = {}, 0
    for view in views:
        places[view.name] = slice(start, start + view.width)
        start += view.width
    return places
