"""What may be accepted unseen now: the round that serves, and what Label Studio holds."""

from __future__ import annotations

from dataclasses import replace

import pyarrow.compute as pc

from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig, parse
from backend.queue.acceptable import Offer, offer
from backend.settings import Settings
from backend.store import judgements, rankings
from backend.store.store import Store, effective
from backend.store.tables import Round
from model.schema import Schema


def acceptable(
    studio: LabelStudio, store: Store, settings: Settings, project: int, error: float
) -> Offer:
    """Find what may be accepted now: what serves, less what somebody has annotated since.

    Raises:
        EquipoiseError: nothing is trained yet, or for another label config.
    """
    current, config = serving(studio, store, project)
    ranking = rankings.load(store.ranking(current))
    still_open = studio.open_tasks(project)
    seen = {int(task["id"]) for task in studio.annotated(project)}
    tasks = ranking.column("task").to_pylist()
    left_out = [task for task in tasks if task in seen or task not in still_open]
    if "meets" in ranking.column_names:  # what is promised is of those that may be served
        outside = ranking.filter(pc.equal(ranking.column("meets"), 0))
        left_out += outside.column("task").to_pylist()
    judged = judgements.load(store, current.checkpoint)
    options = effective(settings, store.project(project))
    found = offer(
        judged,
        ranking,
        config,
        options,
        project,
        error=error,
        audited=int(current.measured.get("audited", 0)),
        left_out=left_out,
    )
    return replace(found, version=current.version)


def serving(studio: LabelStudio, store: Store, project: int) -> tuple[Round, LabelConfig]:
    """Return the trained round that serves, and the label config as it is now.

    Raises:
        EquipoiseError: nothing is trained yet, or for another label config.
    """
    store.project(project)
    current = store.current(project)
    if current is None or not current.checkpoint:
        raise EquipoiseError("There is no trained model yet: run `equipoise retrain` first.")
    config = parse(studio.project(project)["label_config"])
    changes = config.schema.changes_since(Schema.from_json(current.schema))
    if changes:
        raise EquipoiseError(
            f"{current.version} was made for another label config ({'; '.join(changes)[:300]}): "
            "retrain first."
        )
    return current, config
