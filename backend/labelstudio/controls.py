"""A control as results name it, and what its answers stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]


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
    paths: Mapping[Path, str] = field(default_factory=dict)
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

    def path(self, name: str) -> Path:
        """Return the path of a class as results have it."""
        return {known: path for path, known in self.paths.items()}[name]

    def one(self, names: Sequence[str]) -> str | None:
        """Return the one class that several answers come to; None where they say different things.

        A box that holds others is ticked where all of them are: of boxes within each other the
        innermost is meant that holds, or is held by, all that are ticked.
        """
        if len(names) < 2 or not self.nested:
            return names[0] if len(names) == 1 else None
        paths = [self.path(name) for name in names]
        meant = [path for path in paths if all(_within(path, other) for other in paths)]
        return self.paths[max(meant, key=len)] if meant else None

    def ticked(self, names: Iterable[str]) -> list[Path]:
        """Return all boxes of nested Choices that the editor shows as ticked for some classes.

        It keeps the ticks of the innermost boxes only; one that holds others is ticked where all of
        them are, and its answer says so, too.
        """
        boxes = [path for path, name in self.paths.items() if self.path(name) == path]
        inner = [box for box in boxes if not any(_holds(box, other) for other in boxes)]
        chosen = [self.path(name) for name in names]
        if self.ancestors:  # what holds others is chosen with them, and is no answer by itself
            chosen = [path for path in chosen if path in inner]
        on = {box for box in inner if any(box[: len(path)] == path for path in chosen)}
        return [
            box for box in boxes if all(leaf in on for leaf in inner if leaf[: len(box)] == box)
        ]


def _holds(box: Path, other: Path) -> bool:
    return len(box) < len(other) and other[: len(box)] == box


def _within(one: Path, other: Path) -> bool:
    return one == other or _holds(one, other) or _holds(other, one)
