"""Cells of a table -> a question, and the labels that answer it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.dataset import DataError
from model.schema import Target
from strategies.pool import TargetKind

SEPARATOR = "|"


def target_of(
    name: str,
    kind: TargetKind,
    own: str | None,
    column: Sequence[Any],
    ends: tuple[float, float] | None,
) -> Target:
    """Return the question that a column answers.

    Args:
        name: of the column.
        kind: what its answers are.
        own: the modality that it is about; None: the whole task.
        column: N cells.
        ends: the range of its numbers, where it is stated.

    Raises:
        DataError: fewer than two classes, or a value that is no answer.
    """
    if any(isinstance(cell, bytes) for cell in column):
        raise DataError(f"column {name!r} holds a file, which is no answer")
    if kind is TargetKind.REGRESSION:
        low, high = ends or (None, None)
        _check_range(name, column, ends)
        return Target(name, kind, (), low, high, own)
    for cell in column:
        if kind is TargetKind.CLASSIFICATION and isinstance(cell, list | dict):
            raise DataError(f"column {name!r} holds {cell!r}, not one class; is it =choices?")
    said = {one for cell in column for one in _said(cell, kind)}
    if len(said) < 2:
        raise DataError(
            f"column {name!r} holds {len(said)} classes; at least 2 are needed to learn"
        )
    return Target(name, kind, tuple(sorted(said)), modality=own)


def _check_range(name: str, column: Sequence[Any], ends: tuple[float, float] | None) -> None:
    for cell in column if ends is not None else []:
        value = _number(name, cell)
        if ends is not None and not (math.isnan(value) or ends[0] <= value <= ends[1]):
            raise DataError(f"column {name!r} holds {value:g}, outside of its range {list(ends)}")


def _said(value: Any, kind: TargetKind) -> list[str]:
    if value is None or value == "":
        return []
    if kind is TargetKind.MULTILABEL:
        parts = value if isinstance(value, list) else str(value).split(SEPARATOR)
        return [str(part) for part in parts if str(part)]
    return [str(value)]


def values(target: Target, column: Sequence[Any]) -> npt.NDArray:
    """Return the (N, ...) labels of a column; unknown where a cell is empty.

    Raises:
        DataError: a cell is no number where numbers are asked for.
    """
    if target.kind is TargetKind.REGRESSION:
        return np.array([_number(target.name, value) for value in column])
    place = {name: index for index, name in enumerate(target.classes)}
    said = [_said(value, target.kind) for value in column]
    if target.kind is TargetKind.CLASSIFICATION:
        return np.array([place[one[0]] if one else -1 for one in said], np.int64)
    table = np.full((len(column), len(place)), np.nan)
    for row, (value, names) in enumerate(zip(column, said, strict=True)):
        if value is not None and (names or isinstance(value, list)):
            table[row] = [float(name in names) for name in target.classes]
    return table


def _number(name: str, value: Any) -> float:
    if value is None or value == "":
        return float("nan")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {name!r} holds {value!r}, which is no number") from error
    if math.isinf(number):
        raise DataError(f"column {name!r} holds {value!r}, which is no finite number")
    return number
