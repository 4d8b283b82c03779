"""What the page shows of the first tasks' values without asking anybody: texts, and what is absent.

Pictures and sounds are not kept: the page has them made when somebody looks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from backend.labelstudio.config import LabelConfig
from backend.media.absent import why_absent
from backend.media.shown import shortened
from backend.media.values import sample_of
from backend.rounds.fetch import Fetched
from model.inputs import Inputs
from model.sample import RawValue, Reference

Json = dict[str, Any]
HEAD = 50
_CHARACTERS = 300


def glimpses(
    fetched: Fetched, table: pa.Table, tasks: Sequence[int], inputs: Inputs | None
) -> dict[str, list[Json]]:
    """Return for each of the first tasks: name, kind, text and reason of every modality.

    Args:
        fetched: the tasks' data.
        table: the ranking.
        tasks: N ids.
        inputs: of these N, which know what could not be read; None: nothing was tried.
    """
    reasons: dict[tuple[int, str], str] = {}
    for failure in inputs.failures if inputs is not None else ():
        reasons[tasks[failure.index], failure.modality] = failure.reason
    return {
        str(task): _of(fetched.tasks[task], fetched.config, reasons)
        for task in table.column("task").slice(0, HEAD).to_pylist()
    }


def save(found: dict[str, list[Json]], folder: Path) -> None:
    """Write them beside a round's ranking."""
    (folder / "glimpses.json").write_text(json.dumps(found))


def _of(task: Json, config: LabelConfig, reasons: dict[tuple[int, str], str]) -> list[Json]:
    data = task.get("data") or {}
    sample = sample_of(data, config, lambda address: Reference(address, bytes))
    found = []
    for modality in config.schema.modalities:
        value = sample[modality.key]
        reason = reasons.get((int(task["id"]), modality.name), "")
        if value is None:
            reason = reason or why_absent(data, config.sources[modality.key].expression)
        text = "" if reason else _text(value)
        found.append({"name": modality.name, "kind": modality.kind, "text": text, "reason": reason})
    return found


def _text(value: RawValue) -> str:
    if isinstance(value, str):
        return shortened(value, _CHARACTERS)
    if isinstance(value, list):
        width = len(value[0]) if isinstance(value[0], list) else 0
        steps = f"{len(value)} steps with {width} values each" if width else f"{len(value)} values"
        return f"A sequence of {steps}."
    return ""
