"""Values that are absent: how many, why, and whether a round should go on without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import EquipoiseError
from backend.labelstudio.config import LabelConfig
from backend.media.values import resolve
from model.schema import Schema

if TYPE_CHECKING:  # loads torch, which `connect` and `doctor` have no need of
    from model.inputs import Inputs

SHOWN = 20


class MediaAway(EquipoiseError):
    """Too many values cannot be had now, although they may be later."""

    passing = True


def refuse_passing(inputs: Inputs, schema: Schema, limit: float) -> None:
    """Refuse to go on where too much of a modality is absent for reasons that pass.

    What a round learns without half of its pictures is worse than what serves, and nobody would
    look at the files again before the next labels.

    Args:
        inputs: prepared inputs of N samples.
        schema: the modalities, as in `inputs.present`.
        limit: largest share of the values of a modality that may be absent so.

    Raises:
        MediaAway: there are more.
    """
    away = [failure for failure in inputs.failures if failure.passing]
    values = Counter(failure.modality for failure in inputs.failures)
    for column, name in enumerate(schema.names):
        reasons = Counter(failure.reason for failure in away if failure.modality == name)
        total = int(inputs.present[:, column].sum()) + values[name]
        if reasons.total() > limit * total:
            raise MediaAway(
                f"{reasons.total()} of {total} values of {name!r} cannot be had now: "
                f"{_listed(reasons)}. The round comes again (setting max_passing_absent)."
            )


def found_in(
    inputs: Inputs, config: LabelConfig, tasks: Sequence[Mapping[str, Any]]
) -> dict[str, list[int]]:
    """Return where values are absent, by modality and reason, the commonest first.

    Args:
        inputs: prepared inputs of N tasks.
        config: their modalities, and where the values are.
        tasks: the N tasks; a value that was never a failure says by its type why it is absent.

    Returns:
        At most SHOWN reasons, each with rows of the tasks.
    """
    rows: dict[str, list[int]] = {}
    for found in inputs.failures:
        rows.setdefault(f"{found.modality}: {found.reason}", []).append(int(found.index))
    failed = {(found.index, found.modality) for found in inputs.failures}
    for column, modality in enumerate(config.schema.modalities):
        expression = config.sources[modality.key].expression
        for index in np.flatnonzero(~inputs.present[:, column]):
            if (int(index), modality.name) not in failed:
                why = why_absent(tasks[index].get("data") or {}, expression)
                rows.setdefault(f"{modality.name}: {why}", []).append(int(index))
    return dict(sorted(rows.items(), key=lambda one: -len(one[1]))[:SHOWN])


def counted(
    inputs: Inputs, config: LabelConfig, tasks: Sequence[Mapping[str, Any]]
) -> dict[str, int]:
    """Count what `found_in` finds."""
    return {reason: len(rows) for reason, rows in found_in(inputs, config, tasks).items()}


def listed(counts: Mapping[str, int]) -> str:
    """Return counted reasons as a sentence's part, or ""."""
    return _listed(Counter(counts))


def _listed(reasons: Counter[str]) -> str:
    return "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))


def why_absent(data: Mapping[str, Any], expression: str) -> str:
    """Say why a task's data have no such value."""
    value = resolve(expression, data)
    if value is None:
        return f"the task has no {expression}"
    if isinstance(value, str) and not value.strip():
        return f"{expression} is empty"
    return f"{expression} is a {type(value).__name__}, which is not read"
