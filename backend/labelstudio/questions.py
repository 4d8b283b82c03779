"""Control tags -> what can be learned: targets, and how results name their answers.

An attribute `equipoise` on a control overrides the rules: `multimodal`, `ignore`, or the name of
the modality that the control labels alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.errors import UnsupportedConfig
from backend.labelstudio.controls import Control
from backend.labelstudio.tags import Tag
from model.schema import Target
from strategies.pool import TargetKind

PRESENCE = {
    *("labels", "rectanglelabels", "polygonlabels", "ellipselabels", "keypointlabels"),
    *("brushlabels", "bitmasklabels", "vectorlabels", "timelinelabels", "timeserieslabels"),
    *("paragraphlabels", "hypertextlabels", "ocrlabels", "magicwandlabels", "cubelabels"),
    "ranker",
}
"""Labels of regions, and buckets that a task's items are sorted into."""
LEARNED = {"choices", "taxonomy", "rating", "number", "pairwise"}
_ANSWERS = {"pairwise": "selected"}
_SIDES = (("left",), ("right",))


@dataclass
class Questions:
    """What the controls come to; the first target, if any, is about the whole task."""

    targets: list[Target] = field(default_factory=list)
    controls: dict[str, Control] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_questions(tags: Sequence[Tag], of_tag: Mapping[str, tuple[str, ...]]) -> Questions:
    """Read what is asked: of the whole task, or of one modality; the rest is named with the reason.

    Args:
        tags: the controls.
        of_tag: name of an input tag -> names of its modalities.

    Raises:
        UnsupportedConfig: an attribute names what is not there, or contradicts another.
    """
    found = Questions()
    usable = []
    for tag in tags:
        problem = _problem(tag, of_tag)
        if problem:
            found.notes.append(f"{tag}: {problem}")
        else:
            usable.append(tag)
    if not usable:
        return found
    main = _main(usable)
    _add(found, main, None)
    taken: set[str] = set()
    others: list[Tag] = []
    for tag in usable:
        if tag is main:
            continue
        modality = _own_modality(tag, main, usable, of_tag)
        if modality is None:
            others.append(tag)
        elif modality in taken:
            found.notes.append(f"{tag}: {modality!r} has a question of its own already")
        else:
            taken.add(modality)
            _add(found, tag, modality)
    for tag in others:
        _add(found, tag, None)
    return found


def _add(found: Questions, tag: Tag, modality: str | None) -> None:
    target = _target(tag, modality)
    found.targets.append(target)
    names = _names(tag)
    paths: dict[tuple[str, ...], str] = {}
    if tag.options:
        paths = {seen: names[path] for seen, path in zip(tag.shown, tag.options, strict=True)}
    for path in names:  # last, and therefore what predictions say
        paths.pop(path, None)
        paths[path] = names[path]
    found.controls[tag.name] = Control(
        tag.name,
        tag.tag,
        tag.to_names[0],
        _ANSWERS.get(tag.kind, tag.kind),
        paths,
        tag.kind == "taxonomy" or (tag.kind == "choices" and tag.says("allownested")),
        tag.conditional or tag.says("perregion") or tag.says("required"),
        presence(tag),
        target.kind is TargetKind.MULTILABEL,
    )


def presence(tag: Tag) -> bool:
    """Tell whether a control labels regions, so that only what occurs in a task can be learned."""
    per_region = tag.says("perregion") and tag.kind in ("choices", "taxonomy")
    return tag.kind in PRESENCE or per_region


def _problem(tag: Tag, of_tag: Mapping[str, tuple[str, ...]]) -> str:
    """Say why a control asks nothing that can be learned; '' if it does."""
    if tag.attrs.get("equipoise") == "ignore":
        return "told to ignore it"
    if tag.kind not in LEARNED | PRESENCE:
        return "what people write, draw or sort there is not learned"
    if tag.repeat is not None or tag.says("peritem"):
        return "asks about each item, not about the task"
    if tag.says("perregion") and not presence(tag):
        return "asks about each region, not about the task"
    if not any(name in of_tag for name in tag.to_names):
        return f"points to {', '.join(tag.to_names) or 'nothing'}, which is no input here"
    if tag.kind in ("rating", "number", "pairwise"):
        return ""
    if not tag.options and tag.kind == "ranker":
        return "what people write, draw or sort there is not learned"
    if not tag.options:
        return "its labels come from task data, so there is no fixed set of classes"
    return ""


def _main(usable: Sequence[Tag]) -> Tag:
    """Return the first question: tagged so, else of several inputs, else the first there is."""
    tagged = [tag for tag in usable if tag.attrs.get("equipoise") == "multimodal"]
    learned = [tag for tag in usable if not presence(tag)]
    several = [tag for tag in learned if len(tag.to_names) > 1]
    return (tagged or several or learned or list(usable))[0]


def _own_modality(
    tag: Tag, main: Tag, usable: Sequence[Tag], of_tag: Mapping[str, tuple[str, ...]]
) -> str | None:
    """Return the modality that a control labels alone; None where it asks something else.

    Equal classes alone are no reason: two yes/no questions about one picture are two questions. So
    it takes the attribute, or all of: the main question is asked of several inputs, this one asks
    the same of exactly one, and no other control asks the same of that input.
    """
    wish = tag.attrs.get("equipoise", "")
    if wish == "multimodal":
        return None
    known = [name for names in of_tag.values() for name in names]
    if wish and wish not in known:
        raise UnsupportedConfig(
            f"{tag}: equipoise={wish!r} names no modality; the modalities are {known}."
        )
    if not _same(tag, main) or presence(tag):
        return None
    if wish:
        return wish
    rivals = [other for other in usable if other.to_names == tag.to_names and _same(other, main)]
    if len(main.to_names) < 2 or len(tag.to_names) != 1 or len(rivals) > 1:
        return None
    if tag.to_names[0] not in main.to_names or tag.kind == "pairwise":
        return None
    if _kind(tag) is TargetKind.REGRESSION and not (tag.attrs.keys() & {"maxrating", "min", "max"}):
        return None
    return next(iter(of_tag.get(tag.to_names[0], ())), None)


def _same(one: Tag, other: Tag) -> bool:
    """Tell whether two controls ask the same: kind, classes and range."""
    a, b = _target(one, None), _target(other, None)
    return (a.kind, a.classes, a.low, a.high) == (b.kind, b.classes, b.low, b.high)


def _kind(tag: Tag) -> TargetKind:
    if tag.kind in ("rating", "number"):
        return TargetKind.REGRESSION
    if tag.kind == "pairwise":
        return TargetKind.CLASSIFICATION
    single = tag.attrs.get("choice", "single").lower() in ("single", "single-radio")
    if tag.kind == "choices" and single and len(_paths(tag)) > 1 and not tag.says("perregion"):
        return TargetKind.CLASSIFICATION
    return TargetKind.MULTILABEL


def _paths(tag: Tag) -> tuple[tuple[str, ...], ...]:
    if tag.kind == "pairwise":
        return _SIDES
    return tag.options


def _names(tag: Tag) -> dict[tuple[str, ...], str]:
    """Return a name for each path; a value that looks like a path of others keeps its own."""
    paths = dict.fromkeys(_paths(tag))
    joints = (f" {'/' * slashes} " for slashes in itertools.count(1))
    found = ({path: joint.join(path) for path in paths} for joint in joints)
    return next(names for names in found if len(set(names.values())) == len(paths))


def _target(tag: Tag, modality: str | None) -> Target:
    kind = _kind(tag)
    if kind is not TargetKind.REGRESSION:
        return Target(tag.name, kind, tuple(_names(tag).values()), modality=modality)
    if tag.kind == "rating":
        return Target(tag.name, kind, (), 1.0, _number(tag, "maxrating") or 5.0, modality=modality)
    return Target(tag.name, kind, (), _number(tag, "min"), _number(tag, "max"), modality=modality)


def _number(tag: Tag, name: str) -> float | None:
    value = tag.attrs.get(name)
    try:
        found = None if value is None or value.startswith("$") else float(value)
    except ValueError:
        found = math.nan
    if found is not None and not math.isfinite(found):
        raise UnsupportedConfig(f"{tag}: {name}={value!r} is no number.")
    return found
