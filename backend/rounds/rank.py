"""A pool and a model -> the order of the queue, with what explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from backend.errors import EquipoiseError
from backend.rounds import why
from backend.rounds.audit import serve
from backend.rounds.context import Run
from backend.rounds.fetch import Fetched
from backend.rounds.steer import steer
from backend.store import rankings as ranking
from model.fusion import MOST_MODALITIES
from model.look import look
from model.model import Model
from model.preparation import Inputs
from strategies import STRATEGIES, Pool, Selection
from strategies.errors import UnsupportedTarget
from strategies.pool import Need, TargetKind
from strategies.shapley import contributions

NOTHING_LEFT = "Nothing is left to rank: every task is labelled."


def rank(
    run: Run, fetched: Fetched, model: Model, pool_inputs: Inputs, known: Inputs, number: int
) -> Any:
    """Look at the pool with a model and rank it; returns the ranking table."""
    schema, asked = fetched.config.schema, model.schema
    check_strategy(run.options.strategy, schema.ranking.kind)
    kind, options = asked.ranking.kind, run.options.options
    strategy = STRATEGIES[run.options.strategy]
    if kind not in strategy.targets:  # the question that it fits has too few labels yet
        strategy, options = STRATEGIES["auto"], {}
    explain = kind is not TargetKind.REGRESSION and len(schema.modalities) <= MOST_MODALITIES
    needs = strategy.needs_for(kind, options) | {Need.PROBABILITIES}
    if explain:
        needs = needs | {Need.COALITIONS}
    if pool_inputs.size == 0:
        raise EquipoiseError(NOTHING_LEFT)
    pool = look(
        model,
        pool_inputs,
        frozenset(needs),
        labelled=known if Need.LABELLED_FEATURES in needs else None,
        labelled_count=known.size,
        round=number,
        **{"seed": run.options.seed, **strategy.look_options(options)},
    )
    rng = np.random.default_rng([run.options.seed, number])
    outputs = model.predict(pool_inputs)
    selection = strategy(pool, run.options.batch, rng, **options)
    moved = steer(run, fetched, pool, selection, outputs)
    selection, drawn = serve(run, fetched, skipped_last(moved.selection, fetched), strategy.name)
    return ranking.build(
        fetched.pool,
        pool,
        _explained(pool, selection),
        outputs,
        schema,
        facts(run, number),
        drawn=drawn,
        why=_why(run, model, pool, pool_inputs, selection, outputs, drawn, moved.said),
    )


def _why(
    run: Run,
    model: Model,
    pool: Pool,
    inputs: Inputs,
    selection: Selection,
    outputs: dict[str, Any],
    drawn: Any,
    moved: Mapping[int, str],
) -> list[str]:
    """Say why, for every task; only of those that will be served each modality is asked."""
    head = selection.order[: run.options.published]
    some = inputs.take(head)
    alone = why.Alone(head, model.predict_unimodal(some), some.present)
    target = model.schema.multimodal
    return why.sentences(target, outputs[target.name], drawn, alone, why.novelty(pool, head), moved)


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


def _explained(pool: Pool, selection: Selection) -> Selection:
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
