"""What the columns of a manifest are, as `--columns` says it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from experiments.dataset import DataError
from model.schema import ModalityKind
from strategies.pool import TargetKind

_TARGETS = {
    "choice": TargetKind.CLASSIFICATION,
    "choices": TargetKind.MULTILABEL,
    "number": TargetKind.REGRESSION,
}
_BETWEEN = re.compile(r",(?![^\[]*\])")
"""Commas between columns, not those of a range."""
_RANGE = re.compile(r"number\[(.*)\]")
_KINDS = ", ".join([*ModalityKind, *_TARGETS])


@dataclass(frozen=True)
class Columns:
    """Which columns are inputs and which are labels.

    Attributes:
        inputs: column -> kind.
        labels: column -> (kind of target, modality it labels alone or None).
        ranges: column of numbers -> lower and upper end, where they are stated.
    """

    inputs: Mapping[str, ModalityKind]
    labels: Mapping[str, tuple[TargetKind, str | None]]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Columns:
        """Read `photo=image,caption=text,mood=choice,photo_mood@photo=choice,age=number[0,99]`."""
        inputs: dict[str, ModalityKind] = {}
        labels: dict[str, tuple[TargetKind, str | None]] = {}
        ranges: dict[str, tuple[float, float]] = {}
        for part in filter(None, (one.strip() for one in _BETWEEN.split(text))):
            name, equals, kind = part.rpartition("=")
            kind, ends = _range(part, kind)
            name, _, modality = name.partition("@")
            if not equals or kind not in (*ModalityKind, *_TARGETS):
                raise DataError(f"--columns: {part!r} is not COLUMN=KIND; kinds are {_KINDS}")
            if name in inputs or name in labels:
                raise DataError(f"--columns: {name!r} is named twice")
            if ends is not None:
                ranges[name] = ends
            if kind in _TARGETS:
                labels[name] = (_TARGETS[kind], modality or None)
            else:
                inputs[name] = ModalityKind(kind)
        if not inputs:
            raise DataError("--columns must name at least one input column")
        for name, (_, modality) in labels.items():
            if modality is not None and modality not in inputs:
                raise DataError(f"--columns: {name!r} labels {modality!r}, which is no input")
        if labels and all(modality is not None for _, modality in labels.values()):
            raise DataError("--columns: no label is about the whole task; one question has to be")
        return cls(inputs, labels, ranges)


def _range(part: str, kind: str) -> tuple[str, tuple[float, float] | None]:
    """Split `number[-1,1]` into the kind and its ends."""
    found = _RANGE.fullmatch(kind)
    if found is None:
        return kind, None
    try:
        low, high = (float(end) for end in found[1].split(","))
    except ValueError as error:
        raise DataError(f"--columns: {part!r} states no range; write number[LOW,HIGH]") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError(f"--columns: {part!r} states no range; write number[LOW,HIGH]")
    return "number", (low, high)
