"""Replaying one contender: train from scratch, measure, choose, label, again (the papers' loop)."""

from __future__ import annotations

import json
import os
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

from experiments import prepared
from experiments.cells import Cell, Cells, pack
from experiments.measuring import describe, explainable, measure
from experiments.plan import LIVE, RANDOM, Contender, Plan
from experiments.prepared import Prepared
from model import checkpoint
from model.look import look
from model.model import Model
from model.training import train
from model.untrained import look_untrained
from strategies import STRATEGIES, cold_start
from strategies.pool import IntArray, Need, TargetKind

DATA, INITIAL, FIRST = "data", "initial", "first-labels"


@lru_cache(maxsize=2)
def data_of(folder: Path) -> Prepared:
    """Open a replay's data once per process."""
    return prepared.read(folder / DATA)


def pool_rows(data: Prepared, plan: Plan, seed: int) -> IntArray:
    """Draw the samples that may be labelled with a seed, in the order of the draw."""
    order = np.random.default_rng([seed, 0]).permutation(data.train)
    return order[: plan.pool or len(order)]


def initial_rows(folder: Path, seed: int) -> IntArray:
    """Return a seed's initial labels, the same for every contender; chosen once, then read."""
    place = folder / FIRST / f"seed-{seed}.json"
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        beside = place.with_suffix(f".{os.getpid()}.writing")
        plan = Plan.read(folder)
        rows = first_rows(data_of(folder), plan, seed, plan.initial_strategy, plan.initial)
        beside.write_text(json.dumps(rows.tolist()))
        os.replace(beside, place)
    return np.asarray(json.loads(place.read_text()), np.int64)


def first_rows(data: Prepared, plan: Plan, seed: int, how: str, count: int) -> IntArray:
    """Choose the first labels of a seed, in `live`'s or a strategy's way; sorted."""
    rows = pool_rows(data, plan, seed)
    if how == RANDOM:
        return np.sort(rows[:count])
    pool = look_untrained(data.inputs.take(rows), data.schema, plan.preset.preparation)
    strategy = cold_start(pool) if how == LIVE else STRATEGIES[how]
    selection = strategy(pool, count, np.random.default_rng([seed, 0, 1]))
    return np.sort(rows[selection.order[:count]])


def train_initial(folder: Path, seed: int) -> None:
    """Train a seed's initial model, which every contender starts from."""
    place = folder / INITIAL / f"seed-{seed}"
    if place.exists():
        return
    plan, data = Plan.read(folder), data_of(folder)
    checkpoint.save(trained(data, plan, initial_rows(folder, seed), seed), place)


def run_chain(folder: Path, text: str, seed: int) -> None:
    """Run one contender with one seed to its last round, from where it stopped."""
    plan, data, cells = Plan.read(folder), data_of(folder), Cells(folder)
    contender = Contender.read(text)
    done = cells.chain(text, seed, plan.rounds)
    rows = initial_rows(folder, seed)
    for number in range(plan.rounds):
        if number < len(done) and (done[number].batch or number == plan.rounds - 1):
            cell = done[number]
        else:
            cell = _cell(folder, plan, data, contender, rows, seed, number)
            cells.write(cell)
        rows = np.concatenate([rows, np.asarray(cell.batch, np.int64)])


def _cell(
    folder: Path,
    plan: Plan,
    data: Prepared,
    contender: Contender,
    rows: IntArray,
    seed: int,
    number: int,
) -> Cell:
    seconds = {}
    started = time.perf_counter()
    if number == 0:
        model = checkpoint.load(folder / INITIAL / f"seed-{seed}", expect=data.schema)
    else:
        model = trained(data, plan, rows, seed)
    seconds["train"] = time.perf_counter() - started
    found, classes = measure(model, data)
    predictions = _predictions(model, data, pool_rows(data, plan, seed))
    started = time.perf_counter()
    batch: list[int] = []
    whole: dict[str, float] = {}
    chosen: dict[str, float] = {}
    if number < plan.rounds - 1:
        batch, whole, chosen = _choose(plan, data, contender, model, rows, seed, number)
    seconds["choose"] = time.perf_counter() - started
    return Cell(
        contender.text,
        seed,
        number,
        len(rows),
        found,
        classes,
        batch,
        whole,
        chosen,
        predictions,
        {name: round(value, 3) for name, value in seconds.items()},
    )


def trained(data: Prepared, plan: Plan, rows: IntArray, seed: int) -> Model:
    """Train a seed's model on some labels."""
    ordered = np.sort(rows)
    labels = {name: np.asarray(values)[ordered] for name, values in data.labels.items()}
    pool = data.inputs.take(pool_rows(data, plan, seed))
    return train(data.inputs.take(ordered), labels, data.schema, plan.preset, seed=seed, pool=pool)


def _choose(
    plan: Plan,
    data: Prepared,
    contender: Contender,
    model: Model,
    rows: IntArray,
    seed: int,
    number: int,
) -> tuple[list[int], dict[str, float], dict[str, float]]:
    """Choose the next batch; returns its rows and means over pool and batch."""
    rest = np.setdiff1d(pool_rows(data, plan, seed), rows)
    strategy = contender.strategy
    needs = strategy.needs_for(data.schema.multimodal.kind, contender.options)
    needs = needs | {Need.PROBABILITIES}
    if explainable(data.schema.multimodal, len(data.schema.names)):
        needs = needs | {Need.COALITIONS}
    if _of_grace(plan) and model.network.last is not None and not model.network.by_maps:
        needs = needs | {Need.GRADIENTS}  # GRACE's figure 7 has every strategy's easiness
    known = data.inputs.take(np.sort(rows)) if Need.LABELLED_FEATURES in needs else None
    pool = look(
        model,
        data.inputs.take(rest),
        frozenset(needs),
        labelled=known,
        round=number + 1,
        labelled_count=len(rows),
        seed=seed,
        **strategy.look_options(contender.options),
    )
    rng = np.random.default_rng([seed, number + 1])
    selection = strategy(pool, plan.batch, rng, **contender.options)
    batch = selection.order[: plan.batch]
    whole, chosen = describe(pool, selection, batch)
    return rest[batch].tolist(), whole, chosen


def _of_grace(plan: Plan) -> bool:
    return any(text.startswith("grace") for text in plan.contenders)


def _predictions(model: Model, data: Prepared, rows: IntArray) -> str:
    """Pack the multimodal predictions on a seed's pool, for the stopping criteria."""
    target = data.schema.multimodal
    outputs = model.predict(data.inputs.take(np.sort(rows)))[target.name]
    if target.kind is TargetKind.CLASSIFICATION:
        return pack(outputs.argmax(axis=1).astype(np.int16))
    if target.kind is TargetKind.MULTILABEL:
        return pack((outputs >= 0.5).astype(np.int8))
    return pack(outputs.astype(np.float32))
