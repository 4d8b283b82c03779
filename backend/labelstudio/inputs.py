"""Input tags -> modalities, and how the value of each is read from a task's data.

An attribute `equipoise` on an input overrides the rules: `ignore` or `sequence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from backend.errors import UnsupportedConfig
from backend.labelstudio.tags import Repeat, Tag, is_variable
from model.schema import Modality, ModalityKind


class Reading(StrEnum):
    """How a value of task data becomes a raw value."""

    FILE = "file"
    PICTURES = "pictures"
    TEXT = "text"
    MARKUP = "markup"
    DIALOGUE = "dialogue"
    RECORD = "record"
    SERIES = "series"
    SEQUENCE = "sequence"
    PAGES = "pages"
    PAGES_TEXT = "text of pages"


INPUTS: dict[str, tuple[tuple[str, ModalityKind, Reading], ...]] = {
    "image": (("", ModalityKind.IMAGE, Reading.FILE),),
    "text": (("", ModalityKind.TEXT, Reading.TEXT),),
    "hypertext": (("", ModalityKind.TEXT, Reading.MARKUP),),
    "audio": (("", ModalityKind.AUDIO, Reading.FILE),),
    "audioplus": (("", ModalityKind.AUDIO, Reading.FILE),),
    "video": (
        (".frames", ModalityKind.VIDEO, Reading.FILE),
        (".sound", ModalityKind.AUDIO, Reading.FILE),
    ),
    "markdown": (("", ModalityKind.TEXT, Reading.TEXT),),
    "dialog": (("", ModalityKind.TEXT, Reading.DIALOGUE),),
    "paragraphs": (("", ModalityKind.TEXT, Reading.DIALOGUE),),
    "chat": (("", ModalityKind.TEXT, Reading.DIALOGUE),),
    "table": (("", ModalityKind.TEXT, Reading.RECORD),),
    "list": (("", ModalityKind.TEXT, Reading.RECORD),),
    "timeseries": (("", ModalityKind.SEQUENCE, Reading.SERIES),),
    "pdf": (
        (".pages", ModalityKind.IMAGE, Reading.PAGES),
        (".text", ModalityKind.TEXT, Reading.PAGES_TEXT),
    ),
}
"""Suffix of the modality's name, kind and reading, by tag."""


@dataclass(frozen=True)
class Source:
    """Where a modality's value is in a task's data, and how it is read.

    Attributes:
        expression: as the tag has it: `$key`, `$a.b[0]`, `Title: $t`.
        reading: how.
        fetched: whether the value is the address of what is to be read.
        repeat: the Repeater around the tag; its values are read together.
        speaker: key of who speaks (dialogues).
        words: key of what is said (dialogues).
        columns: channels (time series); () for every one but the time.
        time: column of the time (time series).
        separator: between cells (time series).
    """

    expression: str
    reading: Reading
    fetched: bool = False
    repeat: Repeat | None = None
    speaker: str = ""
    words: str = ""
    columns: tuple[str, ...] = ()
    time: str = ""
    separator: str = ","


@dataclass
class Inputs:
    """What the input tags come to.

    Attributes:
        modalities: in document order.
        sources: `Modality.key` -> how its value is read.
        of_tag: name of an input tag -> names of its modalities; () where it is left out.
        notes: what is left out, and why.
    """

    modalities: list[Modality] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    of_tag: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_inputs(tags: Sequence[Tag]) -> Inputs:
    """Read input tags; what cannot be read is left out with a sentence.

    Raises:
        UnsupportedConfig: an attribute `equipoise` has an unknown value.
    """
    found = Inputs()
    shared: dict[tuple[str, ModalityKind], str] = {}
    # A video's sound track is the sound of an Audio tag that reads the same value.
    heard = {_expression(tag) for tag in tags if tag.kind in ("audio", "audioplus")}
    for tag in tags:
        problem = _problem(tag)
        if problem:
            found.of_tag[tag.name] = ()
            found.notes.append(f"{tag}: {problem}")
            continue
        names = []
        for suffix, kind, reading in _readings(tag):
            source = _source(tag, reading)
            key = _key(found.sources, source)
            name = (tag.name or key) + suffix
            if suffix == ".sound" and source.expression in heard:
                continue
            if (key, kind) not in shared:
                shared[key, kind] = name
                found.sources[key] = source
                found.modalities.append(Modality(name, kind, key))
            names.append(shared[key, kind])
        found.of_tag[tag.name] = tuple(names)
    return found


def _expression(tag: Tag) -> str:
    return tag.attrs.get("value") or tag.attrs.get("valuelist", "")


def _problem(tag: Tag) -> str:
    wish = tag.attrs.get("equipoise", "")
    if wish == "ignore":
        return "told to ignore it"
    if wish not in ("", "sequence"):
        raise UnsupportedConfig(
            f"{tag}: equipoise={wish!r} is unknown on an input; use 'ignore' or 'sequence'."
        )
    if tag.kind == "header":
        return "a heading counts as context for people; what a Text or Markdown tag shows is read"
    if tag.kind not in INPUTS and wish != "sequence":
        return "an input that is not read; it counts as context for people"
    if not is_variable(_expression(tag)):
        return "shows the same in every task"
    return ""


def _readings(tag: Tag) -> tuple[tuple[str, ModalityKind, Reading], ...]:
    wish = tag.attrs.get("equipoise", "")
    if wish == "sequence" and tag.kind != "timeseries":
        return (("", ModalityKind.SEQUENCE, Reading.SEQUENCE),)
    several = tag.attrs.get("valuelist") or tag.repeat is not None
    if tag.kind == "image" and several:
        return (("", ModalityKind.IMAGE, Reading.PICTURES),)
    return INPUTS[tag.kind]


def _source(tag: Tag, reading: Reading) -> Source:
    attrs = tag.attrs
    speaker = {"chat": "role", "dialog": "name"}.get(tag.kind, "author")
    words = "content" if tag.kind == "chat" else "text"
    separator = attrs.get("sep", ",")
    return Source(
        _expression(tag),
        reading,
        attrs.get("valuetype", "").lower() == "url",
        tag.repeat if tag.repeat and tag.repeat.flag in _expression(tag) else None,
        attrs.get("namekey", speaker),
        attrs.get("textkey", words),
        tag.columns,
        attrs.get("timecolumn", ""),
        {"tab": "\t", "\\t": "\t", "space": " "}.get(separator.lower(), separator),
    )


def _key(sources: dict[str, Source], source: Source) -> str:
    """Return what a sample calls the value: its key in the data where that says it all.

    Two tags may read one key in two ways, so the key alone does not say which value is meant.
    """
    plain = source.expression.removeprefix("$")
    for key in (plain, f"{plain} as {source.reading}"):
        if sources.get(key, source) == source:
            return key
    number = 2
    while sources.get(f"{plain} as {source.reading} {number}", source) != source:
        number += 1
    return f"{plain} as {source.reading} {number}"
