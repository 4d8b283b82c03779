"""A label config's XML -> its input and control tags, read as Label Studio's editor reads them.

The editor looks at neither the case of a tag's name nor that of its attributes' names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from backend.errors import UnsupportedConfig

_MAX_CONFIG = 1_000_000
_LAYOUT = {"view", "header", "style", "collapse", "panel", "repeater", "relations", "relation"}
_LAYOUT |= {"choice", "label", "channel", "multichannel", "filter", "shortcut", "bucket", "br"}
_OPTIONS = {"choice", "label", "bucket"}
_SHOWING = {"header", "markdown"}
"""Layout that may show task data."""
_CONDITIONS = {"visiblewhen", "whentagname", "whenchoicevalue", "whenlabelvalue", "whenrole"}


@dataclass(frozen=True)
class Repeat:
    """Where a Repeater repeats a tag: over which list, and what stands for the position."""

    values: str
    flag: str


@dataclass(frozen=True)
class Tag:
    """One input or control.

    Attributes:
        tag: its name as it is written, for people.
        name: what results call it.
        attrs: attributes by lower-case name.
        options: paths of values of the Choice, Label and Bucket tags inside; an alias stands for
            its value, a Bucket's name for it.
        shown: the same paths by what people see.
        columns: of the Channel tags inside.
        conditional: shown only in some cases, so that no answer says nothing.
        repeat: the Repeater around it.
    """

    tag: str
    name: str
    attrs: Mapping[str, str]
    options: tuple[tuple[str, ...], ...] = ()
    shown: tuple[tuple[str, ...], ...] = ()
    columns: tuple[str, ...] = ()
    conditional: bool = False
    repeat: Repeat | None = None

    @property
    def kind(self) -> str:
        """The tag's name in lower case, which is also the type of its results."""
        return self.tag.lower()

    @property
    def to_names(self) -> tuple[str, ...]:
        """The inputs it points to."""
        found = (name.strip() for name in self.attrs.get("toname", "").split(","))
        return tuple(name for name in found if name)

    def says(self, attribute: str) -> bool:
        """Tell whether an attribute is switched on."""
        return _is_on(self.attrs.get(attribute, ""))

    def __str__(self) -> str:
        return f"<{self.tag} name={self.name!r}>"


def read_tags(config: str) -> list[Tag]:
    """Return the input and control tags of a label config in document order.

    Raises:
        UnsupportedConfig: it is no XML, declares entities, or two tags share a name.
    """
    if len(config) > _MAX_CONFIG:
        raise UnsupportedConfig(f"The label config is larger than {_MAX_CONFIG} characters.")
    if "<!DOCTYPE" in config.upper() or "<!ENTITY" in config.upper():
        raise UnsupportedConfig("The label config declares a DOCTYPE or entities; remove them.")
    try:
        root = ElementTree.fromstring(config)
        tags = list(_walk(root, False, None))
    except (ElementTree.ParseError, RecursionError, ValueError) as error:
        raise UnsupportedConfig(f"The label config cannot be parsed: {error}") from error
    names = [tag.name for tag in tags if tag.name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UnsupportedConfig(f"Two tags of the label config are called {twice!r}; rename one.")
    return tags


def _walk(node: ElementTree.Element, conditional: bool, repeat: Repeat | None) -> Iterator[Tag]:
    if not isinstance(node.tag, str):
        return
    attrs = {key.lower(): value for key, value in node.attrib.items()}
    # `no-region-selected` is how a control looks while nothing is selected: it hides nothing.
    when = attrs.get("visiblewhen", "").lower()
    hidden = bool(_CONDITIONS & attrs.keys()) and when != "no-region-selected"
    conditional = conditional or hidden
    kind = node.tag.lower()
    if kind == "repeater":
        repeat = Repeat(attrs.get("on", ""), attrs.get("indexflag", "{{idx}}"))
    value = attrs.get("value", "")
    named = kind not in _LAYOUT and bool(attrs.get("name") or value.startswith("$"))
    if named or (kind in _SHOWING and is_variable(value)):
        # The editor offers no Choice inside another one unless it is told to.
        deep = kind != "choices" or _is_on(attrs.get("allownested", ""))
        options = list(_options(node, (), (), deep))
        yield Tag(
            node.tag,
            attrs.get("name", ""),
            attrs,
            tuple(dict(options)),
            tuple(dict(options).values()),
            tuple(_columns(node)),
            conditional,
            repeat,
        )
    for child in node:
        yield from _walk(child, conditional, repeat)


def _options(
    node: ElementTree.Element, path: tuple[str, ...], shown: tuple[str, ...], deep: bool
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    for child in node:
        kind = child.tag.lower() if isinstance(child.tag, str) else ""
        attrs = {key.lower(): value for key, value in child.attrib.items()}
        here, seen = path, shown
        if kind in _OPTIONS:
            value = attrs.get("value", "")
            name = attrs.get("name", "") if kind == "bucket" else attrs.get("alias") or value
            here, seen = (*path, name), (*shown, attrs.get("title") or value or name)
            if not here[-1]:
                continue
            yield here, seen
        if deep or kind not in _OPTIONS:
            yield from _options(child, here, seen, deep)


def _columns(node: ElementTree.Element) -> Iterator[str]:
    for child in node.iter():
        if isinstance(child.tag, str) and child.tag.lower() == "channel":
            attrs = {key.lower(): value for key, value in child.attrib.items()}
            if attrs.get("column"):
                yield attrs["column"]


def _is_on(value: str) -> bool:
    return value.strip().lower() in ("true", "1", "yes")


def is_variable(value: str) -> bool:
    """Tell whether a value reads anything of the task's data."""
    return re.search(r"\$\S", value) is not None
