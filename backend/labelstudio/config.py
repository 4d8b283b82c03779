"""Label Studio's label config -> Schema: which objects are modalities, which controls targets.

An attribute `equipoise` on a tag overrides the rules: on an object `ignore` or `sequence`; on a
control `multimodal`, `ignore`, or the name of the modality that the control labels alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from label_studio_sdk.label_interface import LabelInterface

from backend.errors import UnsupportedConfig
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

OBJECTS = {
    "Image": ModalityKind.IMAGE,
    "Text": ModalityKind.TEXT,
    "HyperText": ModalityKind.TEXT,
    "Audio": ModalityKind.AUDIO,
    "AudioPlus": ModalityKind.AUDIO,
    "Video": ModalityKind.VIDEO,
}
CONTROLS = ("Choices", "Rating", "Number")
SUPPORTED = (
    "Supported inputs: Image, Text, HyperText, Audio, Video. "
    "Supported targets: Choices, Rating and Number for the whole task."
)
_MAX_CONFIG = 1_000_000


@dataclass(frozen=True)
class Control:
    """A control as results name it: result type and the object it points to."""

    name: str
    tag: str
    to_name: str


@dataclass(frozen=True)
class LabelConfig:
    """A parsed label config.

    Attributes:
        schema: modalities and targets.
        controls: target name -> Control.
        markup: keys whose text is HTML.
        ignored: what was left out and why, in plain words.
    """

    schema: Schema
    controls: Mapping[str, Control]
    markup: frozenset[str]
    ignored: tuple[str, ...]


@lru_cache(maxsize=64)
def parse(config: str) -> LabelConfig:
    """Read a label config.

    Raises:
        UnsupportedConfig: it is no valid XML, or has an input or no target that is supported;
            the message names the tag and what is supported.
    """
    interface = _interface(config)
    modalities, of_object, markup, ignored = _modalities(interface.objects)
    targets, controls, notes = _targets(list(interface.controls), of_object)
    return LabelConfig(
        Schema(tuple(modalities), tuple(targets)), controls, markup, (*ignored, *notes)
    )


def _interface(config: str) -> LabelInterface:
    if len(config) > _MAX_CONFIG:
        raise UnsupportedConfig(f"The label config is larger than {_MAX_CONFIG} characters.")
    if "<!DOCTYPE" in config.upper() or "<!ENTITY" in config.upper():
        raise UnsupportedConfig("The label config declares a DOCTYPE or entities; remove them.")
    try:
        return LabelInterface(config)
    except Exception as error:  # the parser raises many kinds, all meaning "not a config"
        raise UnsupportedConfig(f"The label config cannot be parsed: {error}") from error


def _modalities(
    objects: Any,
) -> tuple[list[Modality], dict[str, list[str]], frozenset[str], list[str]]:
    modalities: list[Modality] = []
    of_object: dict[str, list[str]] = {}
    markup: set[str] = set()
    ignored: list[str] = []
    for tag in objects:
        wish = tag.attr.get("equipoise", "")
        value = tag.value or ""
        if wish == "ignore" or not value.startswith("$"):
            ignored.append(f"<{tag.tag} name={tag.name!r}>: no task data, or told to ignore it")
            continue
        found = _kinds(tag, wish)
        key = value[1:]
        for suffix, kind in found:
            modalities.append(Modality(tag.name + suffix, kind, key))
        of_object[tag.name] = [tag.name + suffix for suffix, _ in found]
        if tag.tag == "HyperText":
            markup.add(key)
    if not modalities:
        raise UnsupportedConfig(f"The label config has no input that can be learnt. {SUPPORTED}")
    return modalities, of_object, frozenset(markup), ignored


def _kinds(tag: Any, wish: str) -> list[tuple[str, ModalityKind]]:
    if wish == "sequence":
        return [("", ModalityKind.SEQUENCE)]
    if wish:
        raise UnsupportedConfig(
            f"<{tag.tag} name={tag.name!r}>: equipoise={wish!r} is unknown on an input; use "
            "'ignore' or 'sequence'."
        )
    if tag.tag not in OBJECTS:
        raise UnsupportedConfig(
            f"<{tag.tag} name={tag.name!r}> is not a supported input. {SUPPORTED} "
            'Add equipoise="ignore" to that tag to leave it out.'
        )
    if tag.tag == "Text" and tag.attr.get("valueType") == "url":
        raise UnsupportedConfig(
            f'<Text name={tag.name!r} valueType="url"> is not supported: put the text itself '
            'into the task, or add equipoise="ignore".'
        )
    kind = OBJECTS[tag.tag]
    if kind is ModalityKind.VIDEO:
        return [(".frames", ModalityKind.VIDEO), (".sound", ModalityKind.AUDIO)]
    return [("", kind)]


def _targets(
    tags: list[Any], of_object: dict[str, list[str]]
) -> tuple[list[Target], dict[str, Control], list[str]]:
    notes: list[str] = []
    usable = []
    for tag in tags:
        problem = _problem(tag, of_object)
        if problem:
            notes.append(f"<{tag.tag} name={tag.name!r}>: {problem}")
        else:
            usable.append(tag)
    if not usable:
        reason = "; ".join(notes) or "there is no control"
        raise UnsupportedConfig(f"No target that can be learnt: {reason}. {SUPPORTED}")
    main = _main(usable)
    targets = [_target(main, None)]
    taken: set[str] = set()
    for tag in usable:
        if tag is main:
            continue
        modality = _own_modality(tag, main, of_object, taken)
        if modality is None:
            notes.append(
                f"<{tag.tag} name={tag.name!r}>: other labels than {main.name!r}, or its "
                "modality already has a target"
            )
        else:
            taken.add(modality)
            targets.append(_target(tag, modality))
    names = {target.name for target in targets}
    controls = {
        tag.name: Control(tag.name, tag.tag, tag.to_name[0]) for tag in usable if tag.name in names
    }
    return targets, controls, notes


def _problem(tag: Any, of_object: dict[str, list[str]]) -> str:
    """Say why a control is no target; '' if it is one."""
    if tag.attr.get("equipoise") == "ignore":
        return "told to ignore it"
    if tag.tag not in CONTROLS:
        return "not a supported target"
    if tag.attr.get("perRegion") == "true" or tag.attr.get("perItem") == "true":
        return "labels regions or items, not the task"
    if not any(name in of_object for name in tag.to_name):
        return f"points to {tag.to_name}, which is no supported input"
    if tag.tag == "Choices" and tag.attr.get("value", "").startswith("$"):
        return "its choices come from task data, so there is no fixed set of classes"
    if tag.tag == "Choices" and len(tag.labels) < 2:
        return "needs at least two choices"
    return ""


def _main(usable: list[Any]) -> Any:
    """Return the multimodal control: tagged so, else pointing to several inputs, else first."""
    tagged = [tag for tag in usable if tag.attr.get("equipoise") == "multimodal"]
    if len(tagged) > 1:
        raise UnsupportedConfig(
            f'Several controls say equipoise="multimodal": {[tag.name for tag in tagged]}. '
            "Keep one."
        )
    several = [tag for tag in usable if len(tag.to_name) > 1]
    return (tagged or several or usable)[0]


def _own_modality(
    tag: Any, main: Any, of_object: dict[str, list[str]], taken: set[str]
) -> str | None:
    wish = tag.attr.get("equipoise", "")
    known = [name for names in of_object.values() for name in names]
    if wish and wish not in known:
        raise UnsupportedConfig(
            f"<{tag.tag} name={tag.name!r}>: equipoise={wish!r} names no modality; "
            f"the modalities are {known}."
        )
    if _kind(tag) is not _kind(main) or list(tag.labels) != list(main.labels):
        return None
    candidates = [wish] if wish else of_object.get(tag.to_name[0], [])
    free = [name for name in candidates if name not in taken]
    return free[0] if free else None


def _kind(tag: Any) -> TargetKind:
    if tag.tag in ("Rating", "Number"):
        return TargetKind.REGRESSION
    single = tag.attr.get("choice", "single") in ("single", "single-radio")
    return TargetKind.CLASSIFICATION if single else TargetKind.MULTILABEL


def _target(tag: Any, modality: str | None) -> Target:
    kind = _kind(tag)
    if kind is not TargetKind.REGRESSION:
        return Target(tag.name, kind, tuple(tag.labels), modality=modality)
    if tag.tag == "Rating":
        return Target(tag.name, kind, (), 1.0, _number(tag, "maxRating") or 5.0, modality=modality)
    low, high = _number(tag, "min"), _number(tag, "max")
    return Target(tag.name, kind, (), low, high, modality=modality)


def _number(tag: Any, name: str) -> float | None:
    value = tag.attr.get(name)
    try:
        found = None if value is None else float(value)
    except ValueError:
        found = math.nan
    if found is not None and not math.isfinite(found):
        raise UnsupportedConfig(f"<{tag.tag} name={tag.name!r}>: {name}={value!r} is no number.")
    return found
