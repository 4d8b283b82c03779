"""Label Studio's label config -> Schema: which inputs are modalities, which controls targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from backend.errors import UnsupportedConfig
from backend.labelstudio.controls import Control
from backend.labelstudio.inputs import INPUTS, Source, read_inputs
from backend.labelstudio.questions import LEARNED, PRESENCE, read_questions
from backend.labelstudio.tags import Tag, read_tags
from model.schema import Schema

SUPPORTED = (
    "Supported inputs: Image, Text, HyperText, Audio, Video, Paragraphs, Chat, Table, List, "
    "TimeSeries, Pdf."
)


class Level(StrEnum):
    """What a project's order rests on."""

    LEARNED = "learned"
    PRESENCE = "presence"
    COVERAGE = "coverage"


@dataclass(frozen=True)
class LabelConfig:
    """A parsed label config.

    Attributes:
        schema: modalities and targets; no target where nothing can be learned.
        controls: target name -> Control.
        sources: `Modality.key` -> how its value is read from task data.
        ignored: what was left out and why, in plain words.
        level: what the order rests on.
        names: of all controls, so that a result of none of them is noticed.
    """

    schema: Schema
    controls: Mapping[str, Control]
    sources: Mapping[str, Source]
    ignored: tuple[str, ...]
    level: Level
    names: frozenset[str]

    @property
    def sentence(self) -> str:
        """What is done for this project, in one sentence."""
        inputs = ", ".join(f"{m.name} ({m.kind})" for m in self.schema.modalities)
        if self.level is Level.COVERAGE:
            return f"nothing here can be learned: the order covers the variety of {inputs}"
        questions = self.schema.questions
        occur = [repr(q.name) for q in questions if self.controls[q.name].presence]
        said = f"which labels of {_listed(occur)} occur"
        if self.level is Level.PRESENCE:
            return (
                f"{said} in a task is learned from {inputs} and orders the queue; nothing is "
                "pre-annotated"
            )
        asked = [f"{q.name} ({q.kind})" for q in questions if not self.controls[q.name].presence]
        own = [f"; {t.name} labels {t.modality} alone" for t in self.schema.targets if t.modality]
        beside = f"; {said} is learned, too, and not pre-annotated" if occur else ""
        return f"{_listed(asked)} from {inputs}{''.join(own)}{beside}"

    @property
    def reading(self) -> tuple[str, ...]:
        """How each control was read, and how to have it read otherwise."""
        lines = []
        for target in self.schema.targets:
            control = self.controls[target.name]
            about = f"the modality {target.modality!r} alone" if target.modality else "the task"
            asks = "which of its labels occur in" if control.presence else "about"
            otherwise = (
                'equipoise="multimodal" on it makes it one about the task, '
                if target.modality
                else ""
            )
            lines.append(
                f"{target.name} ({control.tag}): a question {asks} {about}; "
                f'{otherwise}equipoise="ignore" leaves it out'
            )
        return tuple(lines)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


@lru_cache(maxsize=64)
def parse(config: str) -> LabelConfig:
    """Read a label config.

    Raises:
        UnsupportedConfig: it is no valid XML, contradicts itself, or shows nothing of a task's
            data that can be read.
    """
    tags = read_tags(config)
    inputs = read_inputs([tag for tag in tags if _is_input(tag)])
    if not inputs.modalities:
        reasons = f" ({'; '.join(inputs.notes)})" if inputs.notes else ""
        raise UnsupportedConfig(
            f"The label config has no input that can be read{reasons}. {SUPPORTED}"
        )
    controls = [tag for tag in tags if not _is_input(tag)]
    found = read_questions(controls, inputs.of_tag)
    level = Level.COVERAGE
    if found.targets:
        asked = [found.controls[t.name] for t in found.targets if t.modality is None]
        only = all(control.presence for control in asked)
        level = Level.PRESENCE if only else Level.LEARNED
    return LabelConfig(
        Schema(tuple(inputs.modalities), tuple(found.targets)),
        found.controls,
        inputs.sources,
        (*inputs.notes, *found.notes),
        level,
        frozenset(tag.name for tag in tags if tag.name),
    )


def _is_input(tag: Tag) -> bool:
    if tag.kind in INPUTS:
        return True
    controls = LEARNED | PRESENCE
    return tag.kind not in controls and not tag.to_names
