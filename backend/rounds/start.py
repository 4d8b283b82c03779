"""A round that is due becomes a claim: with its settings, so that it runs as it was begun."""

from __future__ import annotations

import structlog

from backend.labelstudio.config import parse
from backend.queue.fitting import strategy_for
from backend.rounds.due import Due
from backend.settings import ProjectSettings, Settings
from backend.store.store import Claim, Store, effective
from backend.store.tables import Kind, Project

log = structlog.get_logger(__name__)


def claim_round(store: Store, settings: Settings, project: int, due: Due) -> Claim | None:
    """Claim a round that is due.

    Returns:
        The claim, or None when another process holds a live lease on the project.
    """
    owner = store.project(project)
    configured = effective(settings, owner)
    config = parse(owner.label_config) if owner.label_config else None
    asked = {k: v for k, v in due.options.items() if k in ProjectSettings.model_fields}
    if config is not None and "strategy" not in asked:
        asked["strategy"] = strategy_for(settings, owner, config)
    options = ProjectSettings(**{**configured.model_dump(), **asked})
    strategy = options.strategy
    kind = due.kind if config is None or config.schema.targets else Kind.COLD
    if kind is Kind.COLD:
        strategy = "random" if strategy == "random" else "max_herding"
    claim = store.claim(
        project,
        kind,
        strategy,
        due.cause,
        {
            "settings": options.model_dump(),
            "configured": configured.strategy,
            "dry": bool(due.options.get("dry")),
            "new_labels": due.options.get("new_labels", 0),
            "labels_then": owner.new_labels,
        },
        wish=owner.requested if _fulfils(due, owner) else None,
    )
    if claim is not None:
        log.info("round starts", project=project, round=claim.round, cause=due.cause, kind=kind)
        store.save_project(project, compared_annotations=-1)
    return claim


def _fulfils(due: Due, owner: Project) -> bool:
    """Tell whether a round does what a person asked for, whatever else made it due."""
    wish = owner.requested
    if not wish or wish["kind"] != due.kind:
        return False
    return not wish.get("options") or dict(due.options) == wish["options"]
