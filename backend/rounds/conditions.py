"""Which tasks may be served: conditions on their data, and on a time that the data hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from backend.options import ProjectSettings, since
from backend.rounds.fetch import Fetched

_LONGEST = 40


def narrowed(fetched: Fetched, options: ProjectSettings) -> Fetched:
    """Note which tasks do not meet `only` and `newer_than`, and why."""
    if not options.only and not options.newer_than:
        return fetched
    ids = [*fetched.pool, *(item.task for item in fetched.labelled), *sorted(fetched.accepted)]
    held = (task["data"] for task in fetched.tasks.of(ids))
    return replace(fetched, outside=outside(zip(ids, held, strict=True), options))


def outside(
    tasks: Iterable[tuple[int, Mapping[str, Any] | None]], options: ProjectSettings
) -> dict[int, str]:
    """Return which tasks do not meet `only` and `newer_than`: id -> why.

    Args:
        tasks: ids and data.
        options: has the conditions.
    """
    now = datetime.now(UTC)
    limits = {key: since(text, now) for key, text in options.newer_than.items()}
    found = ((task, unmet(data or {}, options.only, limits)) for task, data in tasks)
    return {task: why for task, why in found if why}


def unmet(data: Mapping[str, Any], only: Mapping[str, Any], newer: Mapping[str, datetime]) -> str:
    """Say which condition a task's data do not meet; "" where they meet all.

    Args:
        data: the task's.
        only: key -> value, or values of which one is enough. A list in the data meets it with any
            of its own. Numbers and texts that read alike are the same.
        newer: key -> the moment that must be over in what the data hold: ISO 8601 (UTC where no
            zone is given) or seconds since 1970.
    """
    for key, wanted in only.items():
        has = data.get(key)
        if has is None:
            return f"it has no {key}"
        ours = {_text(value) for value in (has if isinstance(has, list) else [has])}
        if ours.isdisjoint(_text(v) for v in (wanted if isinstance(wanted, list) else [wanted])):
            return f"{key} is {_short(has)}"
    for key, limit in newer.items():
        moment = _moment(data.get(key))
        if moment is None:
            return f"it has no time in {key}"
        if moment <= limit:
            return f"{key} is {_short(data[key])}"
    return ""


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _moment(value: Any) -> datetime | None:
    """Read a time; None where it is none."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
