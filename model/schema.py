"""What a project asks for: which inputs are modalities, which controls are targets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from strategies.pool import TargetKind


class ModalityKind(StrEnum):
    """How a modality's raw value is decoded."""

    IMAGE = "image"
    TEXT = "text"
    AUDIO = "audio"
    VIDEO = "video"
    SEQUENCE = "sequence"


@dataclass(frozen=True)
class Modality:
    """One input of a task.

    Attributes:
        name: unique name, used as column name everywhere (e.g. `img`, `clip.frames`).
        kind: how the raw value is decoded. A video's sound track is an `audio` modality that
            reads the same key.
        key: key of the value in the task's data.
    """

    name: str
    kind: ModalityKind
    key: str


@dataclass(frozen=True)
class Target:
    """One thing annotators say about a task.

    Attributes:
        name: the control's name.
        kind: classification, multilabel or regression.
        classes: class names in column order; empty for regression.
        low: lower end of a regression range; None: taken from the labels.
        high: upper end of a regression range; None: taken from the labels.
        modality: the modality this target labels, or None for the multimodal target.
    """

    name: str
    kind: TargetKind
    classes: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    modality: str | None = None


@dataclass(frozen=True)
class Schema:
    """The modalities and targets of one project.

    Any number of targets are about the whole task; a modality's own target labels it alone. A
    project without any target learns nothing.
    """

    modalities: tuple[Modality, ...]
    targets: tuple[Target, ...]

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError("A schema needs at least one modality.")
        if self.targets and all(target.modality is not None for target in self.targets):
            raise ValueError("A schema needs a target about the whole task.")
        names = [modality.name for modality in self.modalities]
        if len(set(names)) != len(names):
            raise ValueError(f"Modality names must differ: {names}")

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names in column order."""
        return tuple(modality.name for modality in self.modalities)

    @property
    def questions(self) -> tuple[Target, ...]:
        """The targets about the whole task."""
        return tuple(target for target in self.targets if target.modality is None)

    @property
    def multimodal(self) -> Target:
        """The first question: the one that modalities' own targets go with."""
        return self.questions[0]

    @property
    def ranking(self) -> Target:
        """The question whose kind decides which strategies there are: the first with classes.

        Whatever has probabilities can be ranked by more strategies than a number.
        """
        return min(self.questions, key=lambda q: q.kind is TargetKind.REGRESSION)

    def about(self, question: Target) -> Schema:
        """Return the schema of one question; own targets of modalities go with the first."""
        own = [t for t in self.targets if t.modality is not None and question == self.multimodal]
        return Schema(self.modalities, (question, *own))

    def without(self, names: Collection[str]) -> Schema:
        """Return the schema without some questions."""
        kept = [t for t in self.targets if t.name not in names or t.modality is not None]
        return Schema(self.modalities, tuple(kept))

    def unimodal(self, modality: str) -> Target:
        """The target of one modality's own head: its own control, else the shared label."""
        own = [target for target in self.targets if target.modality == modality]
        return own[0] if own else self.multimodal

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schema:
        """Read what `to_json` wrote."""
        modalities = tuple(
            Modality(item["name"], ModalityKind(item["kind"]), item["key"])
            for item in value["modalities"]
        )
        targets = tuple(
            Target(**{**item, "kind": TargetKind(item["kind"]), "classes": tuple(item["classes"])})
            for item in value["targets"]
        )
        return cls(modalities, targets)

    def changes_since(self, old: Schema) -> list[str]:
        """Say in plain words how this schema differs from an older one; [] if it does not."""
        changes = _named_changes("modality", old.modalities, self.modalities)
        changes += _named_changes("target", old.targets, self.targets)
        for target in self.targets:
            before = next((t for t in old.targets if t.name == target.name), None)
            if before is not None and before.classes != target.classes:
                gained = [c for c in target.classes if c not in before.classes]
                lost = [c for c in before.classes if c not in target.classes]
                changes.append(
                    f"classes of {target.name!r}: gained {gained}, lost {lost}"
                    if gained or lost
                    else f"classes of {target.name!r} were put in another order"
                )
        return changes


def _named_changes(what: str, old: tuple[Any, ...], new: tuple[Any, ...]) -> list[str]:
    before = {item.name: item for item in old}
    after = {item.name: item for item in new}
    changes = [f"{what} {name!r} added" for name in after if name not in before]
    changes += [f"{what} {name!r} removed" for name in before if name not in after]
    for name in after.keys() & before.keys():
        plain = [
            {k: v for k, v in asdict(item).items() if k != "classes"}
            for item in (before[name], after[name])
        ]
        if plain[0] != plain[1]:
            changes.append(f"{what} {name!r} changed: {plain[0]} -> {plain[1]}")
    return changes
