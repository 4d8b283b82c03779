"""`equipoise accept`: sure predictions become annotations, marked as ours, and go again.

They are marked in Label Studio itself (`meta` of each result, and no time of work), so that whoever
reads the project or an export of it knows them, whatever becomes of the store. Nothing learns from
them while nobody has touched them (backend/labelstudio/annotations.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from backend.errors import EquipoiseError, LabelStudioError
from backend.labelstudio.annotations import ACCEPTED, is_accepted
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig
from backend.queue.acceptable import Offer
from backend.queue.offers import serving
from backend.store import rankings
from backend.store.store import Store

Json = dict[str, Any]


def accept(
    studio: LabelStudio,
    store: Store,
    project: int,
    chosen: Offer,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """Write what an offer holds as annotations.

    What breaks this off leaves those written, which are marked; it may be repeated.

    Args:
        studio: Label Studio.
        store: the store.
        project: project id.
        chosen: what `acceptable` found.
        told: called with how many are written, after each.

    Returns:
        How many were written; tasks that were deleted meanwhile are none.

    Raises:
        Busy: the project is being connected, disconnected, rolled back or accepted by another
            process.
        EquipoiseError: another round serves than the one that the offer is of.
    """
    with store.alone(project):
        current, config = serving(studio, store, project)
        if current.version != chosen.version:
            raise EquipoiseError(
                f"{chosen.version} was looked at, and now {current.version} serves: look again at "
                "what may be accepted."
            )
        ranking = rankings.load(store.ranking(current))
        before, written = store.project(project).accepted, 0
        try:
            for task, body in bodies(ranking, config, chosen, current.version):
                try:
                    studio.create_annotation(task, body)
                except LabelStudioError as error:
                    if error.status != 404:
                        raise
                    continue
                written += 1
                told(written)
        finally:
            store.save_project(project, accepted=before + written)
    return written


def bodies(
    ranking: pa.Table, config: LabelConfig, chosen: Offer, version: str
) -> list[tuple[int, Json]]:
    """Return the annotations of an offer: task and body, in the ranking's order."""
    wanted = pa.array(list(chosen.answers), type=pa.int64())
    table = ranking.filter(pc.is_in(ranking.column("task"), wanted))
    outputs = rankings.outputs_of(table)
    return [
        (task, _marked(prediction_result(config, outputs, row), version))
        for row, task in enumerate(table.column("task").to_pylist())
    ]


def _marked(result: list[Json], version: str) -> Json:
    note = {ACCEPTED: version, "text": ["Accepted unseen by Equipoise"]}
    marked = [{**item, "origin": "prediction", "meta": note} for item in result]
    return {"result": marked, "lead_time": 0}


def undo(
    studio: LabelStudio, store: Store, project: int, told: Callable[[int], None] = lambda _: None
) -> int:
    """Delete every annotation that was accepted and that nobody has touched since.

    Returns:
        How many were deleted.
    """
    with store.alone(project):
        # Listed before they are deleted, which would shift the pages.
        doomed = [
            int(made["id"])
            for task in studio.annotated(project)
            for made in task["annotations"]
            if is_accepted(made)
        ]
        for deleted, annotation in enumerate(doomed, start=1):
            studio.delete_annotation(annotation)
            told(deleted)
        store.save_project(project, accepted=0)
    return len(doomed)
