"""A task's data -> raw values, found and read as Label Studio's editor does.

Live projects and exports come through here; they differ only in how an address becomes bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from backend.labelstudio.config import LabelConfig
from backend.labelstudio.inputs import Reading, Source
from backend.media.markup import plain_text
from backend.media.understood import or_why, understood
from model.decoding.images import montage
from model.decoding.pages import page_pictures, page_text
from model.decoding.sequences import columns_of, table_columns
from model.sample import MediaError, RawValue, Reference, Sample

Content = bytes | str | list[Any]
Refer = Callable[[str], Reference]
"""An address -> the bytes behind it, fetched when they are needed."""
MOST_PICTURES = 64
_VARIABLE = re.compile(r"\$[\w\[\].]+")
_STEP = re.compile(r"[^.\[\]]+")
_ADDRESS = re.compile(r"(https?|s3|gs|azure-blob|azure_spi|gcs)://\S+$|/\S+$|data:\S+$")


def sample_of(data: Mapping[str, Any], config: LabelConfig, refer: Refer) -> Sample:
    """Return a task's raw values by `Modality.key`; a value of the wrong type is absent."""
    return {
        key: or_why(partial(_read, source, data, refer)) for key, source in config.sources.items()
    }


def _read(source: Source, data: Mapping[str, Any], refer: Refer) -> RawValue:
    values = [resolve(expression, data) for expression in _expressions(source, data)]
    if source.reading is Reading.PICTURES:
        return _pictures(values, refer)
    if source.repeat is not None and source.reading is not Reading.FILE:
        texts = [_one(value, source, refer) for value in values]
        found = [text for text in texts if isinstance(text, str)]
        return "\n".join(found) or None
    return _one(values[0], source, refer) if values else None


def _expressions(source: Source, data: Mapping[str, Any]) -> list[str]:
    if source.repeat is None:
        return [source.expression]
    items = resolve(source.repeat.values, data)
    count = len(items) if isinstance(items, list) else 0
    return [source.expression.replace(source.repeat.flag, str(n)) for n in range(count)]


def resolve(expression: str, data: Mapping[str, Any]) -> Any:
    """Return what an expression of the label config stands for; None where it is not there.

    `$key` is a key of the data, also where it looks like a path; `$a.b[0]` is a path; in any other
    text the variables are replaced.
    """
    plain = expression.removeprefix("$")
    if expression.startswith("$") and plain in data:
        return data[plain]
    if _VARIABLE.fullmatch(expression):
        return _path(plain, data)
    if expression.startswith("$") and not _VARIABLE.match(expression):
        return None
    found = [_path(match[1:], data) for match in _VARIABLE.findall(expression)]
    if all(value is None for value in found):
        return None
    return _VARIABLE.sub(lambda match: _word(_path(match[0][1:], data)), expression)


def _path(path: str, data: Any) -> Any:
    if isinstance(data, Mapping) and path in data:
        return data[path]
    for step in _STEP.findall(path):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data


def _word(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _one(value: Any, source: Source, refer: Refer) -> RawValue:
    if value is None or value == "" or value == [] or value == {}:
        return None
    if source.reading in (Reading.TEXT, Reading.MARKUP):
        return _text(value, source, refer)
    if source.reading in (Reading.DIALOGUE, Reading.RECORD):
        return _structured(value, source, refer)
    if source.reading is Reading.SERIES:
        return _series(value, source, refer)
    if source.reading is Reading.SEQUENCE and isinstance(value, list):
        return value
    if not isinstance(value, str) or not value.strip():
        return None
    found = refer(value.strip())
    if source.reading is Reading.PAGES:
        return _mapped(found, "pages", page_pictures)
    if source.reading is Reading.PAGES_TEXT:
        return _mapped(found, "text of pages", page_text)
    return found


def _text(value: Any, source: Source, refer: Refer) -> RawValue:
    if isinstance(value, Mapping | list):
        return None
    clean = plain_text if source.reading is Reading.MARKUP else str
    text = str(value)
    if source.fetched and _ADDRESS.match(text.strip()):
        return _mapped(refer(text.strip()), clean.__name__, lambda data: clean(_decoded(data)))
    return clean(text)


def _structured(value: Any, source: Source, refer: Refer) -> RawValue:
    def read(content: Any) -> str:
        if isinstance(content, str):
            content = _parsed(content)
        if source.reading is Reading.DIALOGUE:
            return "\n".join(_turns(content, source))
        return "\n".join(_lines(content))

    if isinstance(value, str) and _ADDRESS.match(value.strip()):
        note = f"{source.reading} {source.speaker} {source.words}"
        return _mapped(refer(value.strip()), note, lambda data: read(_decoded(data)))
    return read(value) or None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _turns(content: Any, source: Source) -> Iterator[str]:
    """Yield one line for each thing that is said: who speaks, and what."""
    if not isinstance(content, Mapping | list):
        yield _word(content)
    elif isinstance(content, Mapping) and source.words not in content:
        yield from _lines(content)
    else:
        for turn in [content] if isinstance(content, Mapping) else content:
            if not isinstance(turn, Mapping):
                yield _word(turn)
                continue
            who, what = turn.get(source.speaker), _word(turn.get(source.words))
            yield f"{_word(who)}: {what}" if who else what


def _lines(content: Any, path: str = "") -> Iterator[str]:
    """Yield one line for each value of nested data, after the keys that lead to it."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _lines(value, f"{path}.{key}" if path else str(key))
    elif isinstance(content, list):
        for value in content:
            yield from _lines(value, path)
    elif content is not None and content != "":
        yield f"{path}: {_word(content)}" if path else _word(content)


def _series(value: Any, source: Source, refer: Refer) -> RawValue:
    def read(data: bytes | str) -> list[list[float]]:
        text = _decoded(data) if isinstance(data, bytes) else data
        return columns_of(
            table_columns(text, source.separator, source.columns), source.columns, source.time
        )

    if isinstance(value, Mapping | list):
        return columns_of(value, source.columns, source.time)
    if not isinstance(value, str):
        return None
    if not _ADDRESS.match(value.strip()):
        return read(value) if "\n" in value.strip() else None
    note = f"series {source.separator} {source.columns} {source.time}"
    return _mapped(refer(value.strip()), note, read)


def _decoded(data: Content) -> str:
    if not isinstance(data, bytes):
        raise MediaError("not the content of a file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _pictures(values: Sequence[Any], refer: Refer) -> RawValue:
    """Return one picture of all pictures of a list, side by side; of one, the picture itself."""
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    found = [refer(one.strip()) for one in flat if isinstance(one, str) and one.strip()]
    if len(found) < 2:
        return found[0] if found else None
    found = found[:MOST_PICTURES]

    def load() -> bytes:
        pictures = [_bytes(one.load()) for one in found]
        return understood(lambda: montage(pictures))

    def done() -> None:
        for one in found:
            if one.done is not None:
                one.done()

    return Reference(_key("pictures", *(one.key for one in found)), load, done)


def _bytes(data: Content) -> bytes:
    if not isinstance(data, bytes):
        raise MediaError("not the content of a file")
    return data


def _mapped(reference: Reference, note: str, function: Callable[[bytes], Content]) -> Reference:
    """Return a reference whose content is read further in the thread that loads it."""

    def load() -> Content:
        content = _bytes(reference.load())
        return understood(lambda: function(content))

    return replace(reference, key=_key(note, reference.key), load=load)


def _key(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode(errors="backslashreplace")).hexdigest()
