"""Label Studio's exports as tasks: JSON, JSON_MIN, CSV and TSV, of any version.

What they hold is read by the same code as a live project's tasks; here they only get one shape.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backend.labelstudio.config import LabelConfig
from backend.labelstudio.controls import Control
from backend.media.safe_fetch import data_uri
from experiments import manifest
from experiments.dataset import DataError
from model.sample import Reference

Json = dict[str, Any]
SUFFIXES = (".json", ".csv", ".tsv")
_ABOUT = {"annotation_id", "annotator", "created_at", "updated_at", "lead_time"}
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
_MOST_BYTES = 64 * 2**20


def read_tasks_of(path: Path, config: LabelConfig) -> list[Json]:
    """Read an export as tasks with data and annotations, numbered from 0.

    Raises:
        DataError: it cannot be read, or is none of Label Studio's exports.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if path.suffix == ".json" else _table(text, path.suffix)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{path} is not a Label Studio export: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} is not a Label Studio export, a list of tasks")
    if any("data" in row for row in rows):
        tasks = rows
        if not all(isinstance(task.get("data"), dict) for task in tasks):
            raise DataError(f"{path} is not a Label Studio export: a task's data are no object")
    else:
        tasks = _grouped(rows, config, path)
    return [{**task, "id": number} for number, task in enumerate(_merged(tasks))]


def _table(text: str, suffix: str) -> list[Json]:
    head = text.partition("\n")[0]
    comma = "\t" if suffix == ".tsv" else max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=comma, strict=True)
    return [
        {key: _cell(value) for key, value in row.items() if key is not None and value is not None}
        for row in reader
    ]


def _cell(value: Any) -> Any:
    """Return what a cell holds: JSON where it is an object or a list, else its text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _grouped(rows: Sequence[Json], config: LabelConfig, path: Path) -> list[Json]:
    """Return flat rows as tasks: one column per control, the others are data."""
    answered = [name for name in config.names if any(name in row for row in rows)]
    if rows and not any(name in answered for name in config.controls):
        raise DataError(
            f"{path} holds no answer to {', '.join(config.controls) or 'any control'}: it is "
            "another project's export, or its label config is another one"
        )
    tasks = []
    # A control may be called like a key of the data: what an input shows is data.
    read = {source.expression.removeprefix("$") for source in config.sources.values()}
    answers = [name for name in config.controls if name not in read]
    for row in rows:
        data = {k: v for k, v in row.items() if k not in _ABOUT and k not in answers and k != "id"}
        result = [
            item
            for name in answers
            if name in row
            for item in _results(config.controls[name], row[name])
        ]
        tasks.append({"id": row.get("id"), "data": data, "annotations": [{"result": result}]})
    return tasks


def _results(control: Control, cell: Any) -> list[Json]:
    """Return a cell as results: a plain answer, an object that holds it, or a list of regions."""
    if cell is None or cell == "":
        return []
    about = {"from_name": control.name, "to_name": control.to_name, "type": control.tag.lower()}
    if isinstance(cell, Mapping):
        return [{**about, "value": dict(cell)}]
    if isinstance(cell, list) and cell and all(isinstance(one, Mapping) for one in cell):
        return [{**about, "value": dict(one)} for one in cell]
    return [{**about, "value": {control.answer: cell}}]


def _merged(tasks: Sequence[Json]) -> list[Json]:
    """Join the rows of several annotators of one task: they share its id, or else all its data."""
    found: dict[str, Json] = {}
    for task in tasks:
        marks = json.dumps(task["data"], sort_keys=True, default=repr)
        known = task.get("id")
        key = f"{known}|{marks}" if known is not None else marks
        annotations = task.get("annotations") or task.get("completions") or []
        if key in found and isinstance(annotations, list):
            found[key]["annotations"] = [*found[key]["annotations"], *annotations]
        else:
            found[key] = {**task, "annotations": annotations}
    return list(found.values())


def exported_file(address: str, home: Path) -> Reference:
    """Return the file that an address in an export stands for, or the bytes of a data URI."""
    if address.startswith("data:"):
        key = hashlib.sha256(address.encode()).hexdigest()
        return Reference(key, lambda: data_uri(address, _MOST_BYTES))
    return manifest.file_reference(_local_name(address, home), home)


def _local_name(address: str, home: Path) -> str:
    """Return the longest end of an address that is a file below `home`."""
    try:
        parts = urlsplit(address)
        query = parse_qs(parts.query).get("d")  # /data/local-files/?d=folder/file
        windows = re.match(r"[A-Za-z]:\\", address)
        path = address if windows else query[0] if query else unquote(parts.path)
        steps = path.replace("\\", "/").strip("/").split("/")
        for start in range(len(steps)):
            for name in (steps[-1], _UPLOADED.sub("", steps[-1], count=1)):
                found = "/".join([*steps[start:-1], name])
                if ".." not in steps[start:] and (home / found).is_file():
                    return found
    except (OSError, ValueError):  # no address, or nothing that a file can be called
        return address
    return steps[-1]
