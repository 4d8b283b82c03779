"""JSON in pieces: json.loads keeps all threads waiting until it is done, 2 s for 50 MB."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Set
from typing import Any

_BLANK = re.compile(r"[ \t\n\r]*")


def loads(content: bytes, read: Mapping[str, Set[str]] | None = None) -> Any:
    """Return what json.loads does; other threads may run after each member of an outer list.

    Outer are a list itself, and the lists in an object, as in {"tasks": [...]}.

    Args:
        content: JSON in UTF-8.
        read: name of a list -> the fields of its members that are kept; of others, all. What is
            kept is walked by the garbage collector, which keeps all threads waiting, too.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    text = content.decode()
    reader = _Reader(text, read or {})
    value, at = reader.value(reader.skip(0), depth=2)
    if reader.skip(at) != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return value


class _Reader:
    def __init__(self, text: str, read: Mapping[str, Set[str]]) -> None:
        self._text = text
        self._read = read
        self._decode = json.JSONDecoder().raw_decode

    def skip(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return found.end() if found else at

    def value(self, at: int, depth: int = 0, name: str = "") -> tuple[Any, int]:
        """Return the value that begins somewhere, and where it ends."""
        first = self._text[at : at + 1]
        if depth and first == "[":
            members: list[Any] = []
            kept = self._read.get(name)
            return members, self._members(at + 1, "]", lambda at: self._item(at, members, kept))
        if depth and first == "{":
            fields: dict[str, Any] = {}
            return fields, self._members(at + 1, "}", lambda at: self._field(at, fields, depth))
        return self._decode(self._text, at)

    def _members(self, at: int, close: str, member: Callable[[int], int]) -> int:
        """Read members and the commas between them up to the bracket; return what is behind it."""
        at = self.skip(at)
        if self._text[at : at + 1] == close:
            return at + 1
        while True:
            at = self.skip(member(at))
            found = self._text[at : at + 1]
            if found == close:
                return at + 1
            if found != ",":
                raise json.JSONDecodeError(f"Expecting ',' or {close!r}", self._text, at)
            at = self.skip(at + 1)

    def _item(self, at: int, members: list[Any], kept: Set[str] | None) -> int:
        value, at = self.value(at)
        if kept is not None and isinstance(value, dict):
            value = {name: value[name] for name in value if name in kept}
        members.append(value)
        return at

    def _field(self, at: int, fields: dict[str, Any], depth: int) -> int:
        name, at = self.value(at)
        at = self.skip(at)
        if not isinstance(name, str) or self._text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting a name and ':'", self._text, at)
        fields[name], at = self.value(self.skip(at + 1), depth - 1, name)
        return at
