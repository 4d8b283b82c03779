"""A control as results name it, and what its answers stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Control:
    """A control as results name it.

    Attributes:
        name: `from_name` of its results.
        tag: as it is written.
        to_name: `to_name` of its predictions.
        answer: key of the answer in a result's value.
        paths: path as results have it -> class; what people see instead of an alias counts, too.
        nested: whether predictions answer with paths.
        conditional: no answer is unknown and never "none": it may be hidden, or has to be answered
            and was not there yet.
        presence: its classes are labels of regions; it is never answered by a prediction.
        ancestors: whether what is above a path is chosen with it.
    """

    name: str
    tag: str
    to_name: str
    answer: str = ""
    paths: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    nested: bool = False
    conditional: bool = False
    presence: bool = False
    ancestors: bool = False

    def classes(self, part: Any) -> list[str]:
        """Return the classes that one answer stands for; [] where it is not understood.

        Args:
            part: a text, or a path of texts; the last step of a path may stand for it.
        """
        steps = part if isinstance(part, list) else [part]
        if not steps or not all(isinstance(step, str | int | float) for step in steps):
            return []
        path = tuple(str(step) for step in steps)
        if path not in self.paths and len(path) == 1:
            ends = {known for known, name in self.paths.items() if known[-1] == path[0]}
            path = next(iter(ends)) if len({self.paths[end] for end in ends}) == 1 else path
        if path not in self.paths:
            return []
        if not self.ancestors:
            return [self.paths[path]]
        whole = [path[:end] for end in range(1, len(path) + 1)]
        return [self.paths[one] for one in whole if one in self.paths]

    def path(self, name: str) -> tuple[str, ...]:
        """Return the path of a class as results have it."""
        return [path for path, known in self.paths.items() if known == name][-1]
