"""A pool and a model -> the order of the queue, with what explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from backend.errors import EquipoiseError
from backend.rounds import why
from backend.rounds.audit import Apart, serve
from backend.rounds.context import Run
from backend.rounds.fetch import Fetched
from backend.rounds.steer import Held, steer
from backend.settings import ProjectSettings
from backend.store import rankings as ranking
from model.encoders import encoder_for
from model.fusion import MOST_MODALITIES
from model.look import look, predicted
from model.model import Model
from model.options import Preparation
from model.preparation import Inputs
from model.schema import Schema
from strategies import STRATEGIES, Pool, Selection
from strategies.errors import UnsupportedTarget
from strategies.pool import IntArray, Need, TargetKind
from strategies.shapley import contributions

NOTHING_LEFT = "Nothing is left to rank: every task is labelled."


def rank(
    run: Run,
    fetched: Fetched,
    model: Model,
    pool_inputs: Inputs,
    known: Inputs,
    number: int,
    apart: Apart | None = None,
) -> Any:
    """Look at the pool with a model, or the one that is to choose, and rank it.

    Returns:
        The ranking table; what is predicted is the model's.
    """
    schema = fetched.config.schema
    check_strategy(run.options.strategy, schema.ranking.kind)
    chooser, seen = model, known
    if apart is not None:
        chooser, seen = apart.model, known.take(np.flatnonzero(apart.rows))
    pool, selection = ranked(chooser, pool_inputs, seen, run.options, number, known.size)
    told(run, selection, model.schema, model.preset.preparation)
    name = str(selection.notes["strategy"])
    outputs = (
        predicted(model, pool, pool_inputs) if chooser is model else model.predict(pool_inputs)
    )
    moved = steer(run.options, Held.of(fetched), schema.questions, pool, selection, outputs)
    run.work["twins"] = dict(moved.twins)
    selection, drawn = serve(run, fetched, skipped_last(moved.selection, fetched), name)
    head = selection.order[: run.options.published]
    return ranking.build(
        fetched.pool,
        pool,
        explained(pool, selection),
        outputs,
        schema,
        facts(run, number),
        drawn=drawn,
        why=reasons(model, pool, pool_inputs, head, outputs, drawn, moved.said),
    )


def ranked(
    model: Model,
    inputs: Inputs,
    known: Inputs,
    options: ProjectSettings,
    number: int,
    count: int | None = None,
) -> tuple[Pool, Selection]:
    """Look at prepared tasks with a model, and rank them.

    Args:
        model: a trained model.
        inputs: N tasks to rank.
        known: the labelled tasks that it has learned from.
        options: strategy, its options, batch and seed.
        number: of the round, from 1.
        count: labelled tasks in all; None: those that it has learned from.

    Raises:
        EquipoiseError: there is nothing to rank.
    """
    kind, chosen = model.schema.ranking.kind, options.options
    strategy = STRATEGIES[options.strategy]
    if kind not in strategy.targets:  # the question that it fits has too few labels yet
        strategy, chosen = STRATEGIES["auto"], {}
    explain = kind is not TargetKind.REGRESSION and len(model.schema.names) <= MOST_MODALITIES
    needs = strategy.needs_for(kind, chosen) | {Need.PROBABILITIES}
    if explain:
        needs = needs | {Need.COALITIONS}
    if inputs.size == 0:
        raise EquipoiseError(NOTHING_LEFT)
    pool = look(
        model,
        inputs,
        frozenset(needs),
        labelled=known if Need.LABELLED_FEATURES in needs else None,
        labelled_count=known.size if count is None else count,
        round=number,
        **{"seed": options.seed, **strategy.look_options(chosen)},
    )
    rng = np.random.default_rng([options.seed, number])
    return pool, strategy(pool, options.batch, rng, **chosen)


def reasons(
    model: Model,
    pool: Pool,
    inputs: Inputs,
    head: IntArray,
    outputs: dict[str, Any],
    drawn: IntArray,
    moved: Mapping[int, str] = MappingProxyType({}),
) -> list[str]:
    """Say why, for every task; only of those at the head each modality is asked."""
    some = inputs.take(head)
    alone = why.Alone(head, model.predict_unimodal(some), some.present)
    target = model.schema.multimodal
    return why.sentences(target, outputs[target.name], drawn, alone, why.novelty(pool, head), moved)


def told(
    run: Run, selection: Selection, schema: Schema, preparation: Preparation, because: str = ""
) -> None:
    """Keep for people which strategy a round took and why, and what looked at each modality."""
    notes = selection.notes
    chosen = str(notes.get("chosen", notes["strategy"]))
    run.work["order"] = {"strategy": chosen, "because": str(notes.get("because", because))}
    encoders = {m.name: encoder_for(m, preparation) for m in schema.modalities}
    run.work["sees"] = {
        name: [view.name for view in one.views] or [one.fingerprint.partition("/")[0]]
        for name, one in encoders.items()
    }


def check_strategy(name: str, kind: TargetKind) -> None:
    """Raise EquipoiseError where a strategy is not defined for a kind of question."""
    try:
        STRATEGIES[name].check(kind)
    except UnsupportedTarget as error:
        raise EquipoiseError(str(error)) from error


def skipped_last(selection: Selection, fetched: Fetched) -> Selection:
    """Put what annotators have skipped at the end of the order: asking again is of little use."""
    if not fetched.skipped:
        return selection
    skipped = np.isin(np.asarray(fetched.pool)[selection.order], list(fetched.skipped))
    order = np.concatenate([selection.order[~skipped], selection.order[skipped]])
    return replace(selection, order=order)


def explained(pool: Pool, selection: Selection) -> Selection:
    """Add each modality's contribution to the components, whatever the strategy."""
    if pool.coalitions is None:
        return selection
    shares = contributions(pool.coalitions)
    columns = {f"contribution:{m}": shares[:, i] for i, m in enumerate(pool.modalities)}
    gap = shares.max(axis=1, keepdims=True) - shares
    columns["dominance"] = gap.sum(axis=1)
    return replace(selection, components={**columns, **selection.components})


def facts(run: Run, number: int) -> dict[str, str | int]:
    """Return the constant columns of a ranking."""
    return {
        "strategy": run.round.strategy,
        "round": number,
        "model_version": run.round.version,
    }
