"""Which strategy orders a project: one that is defined for what the project asks."""

from __future__ import annotations

from collections.abc import Mapping

from backend.errors import EquipoiseError
from backend.labelstudio.config import LabelConfig
from backend.settings import Settings
from backend.store.store import effective
from backend.store.tables import Project
from model.schema import Schema
from strategies.names import REGISTERED, fitting

_INSTEAD = "auto"


def strategy_for(settings: Settings, owner: Project, config: LabelConfig) -> str:
    """Return the project's strategy; the default, `auto`, fits whatever is asked.

    Raises:
        EquipoiseError: a person chose one that is not defined for what the project asks.
    """
    name = effective(settings, owner).strategy
    if not config.schema.targets:
        return name
    target = config.schema.ranking
    if name not in REGISTERED or target.kind in REGISTERED[name].targets:
        return name
    raise EquipoiseError(
        f"Strategy {name!r} is not defined for {target.name!r} ({target.kind.value}). For this "
        f"project choose one of: {', '.join(sorted(fitting(target.kind)))}; for example "
        f"`equipoise set --project {owner.id} --strategy {_INSTEAD}`."
    )


def check_want(want: Mapping[str, float], schema: Schema) -> None:
    """Raise EquipoiseError where classes are wanted that nothing asks for."""
    names = {name for question in schema.questions for name in question.classes}
    unknown = [name for name in want if name not in names]
    if unknown:
        known = ", ".join(sorted(names)[:20]) or "none"
        raise EquipoiseError(
            f"The setting want names {', '.join(map(repr, unknown))}; the classes are: {known}."
        )
