"""A round on files, without Label Studio: labels in, the order of the rest out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from backend.errors import EquipoiseError
from backend.queue.fitting import check_want
from backend.rounds.conditions import outside
from backend.rounds.covering import covering
from backend.rounds.rank import NOTHING_LEFT, check_strategy, explained, ranked, reasons
from backend.rounds.steer import Held, steer
from backend.rounds.why import without_model
from backend.settings import ProjectSettings
from backend.store import rankings as ranking
from model.cache import FeatureCache
from model.inputs import Inputs
from model.labels import Labels, NotEnoughLabels, known
from model.look import predicted
from model.preparation import Progress, prepare
from model.presets import Preset, preset
from model.sample import Sample
from model.schema import Schema
from model.training import train
from strategies import STRATEGIES, cold_start

_NOBODY = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Order:
    """What came of it.

    Attributes:
        table: as `rankings.build` makes it; `task` is the row of a sample.
        labelled: samples that taught, or that are covered already.
        said: which strategy was taken and why, or why nothing could be learned.
        absent: values that could not be read, each reason with how often.
    """

    table: pa.Table
    labelled: int
    said: str
    absent: Mapping[str, int]


def order_files(
    samples: tuple[Sample, ...],
    labels: Labels,
    schema: Schema,
    options: ProjectSettings,
    cache: FeatureCache,
    *,
    data: Sequence[Mapping[str, Any]] = (),
    device: str = "auto",
    workers: int = 2,
    progress: Progress | None = None,
) -> Order:
    """Learn from the labelled samples and rank the others.

    Args:
        samples: N raw samples.
        labels: target name -> (N, ...) labels, unknown where there is none.
        schema: modalities and targets; without targets the order covers the pool.
        options: strategy, preset, batch, seed and what steers the order, as a project has them.
        cache: where prepared arrays are kept.
        data: of each of the N tasks, for conditions and priority; none: nothing is known of them.
        device: where to compute.
        workers: decoding threads.
        progress: called with (stage, done, total).

    Raises:
        EquipoiseError: every sample is labelled, the strategy is not defined for the question, or
            classes are wanted that there are not.
    """
    how = preset(options.preset, **options.overrides)
    done = np.zeros(len(samples), bool)
    for question in schema.questions if schema.targets else ():
        done |= known(question, np.asarray(labels[question.name]))
    taught, rest = np.flatnonzero(done), np.flatnonzero(~done)
    if not len(rest):
        raise EquipoiseError(NOTHING_LEFT)
    if schema.targets:
        check_strategy(options.strategy, schema.ranking.kind)
    check_want(options.want, schema)
    rows = data or [{}] * len(samples)
    held = Held(
        rest.tolist(), taught.tolist(), outside(enumerate(rows), options), partial(_data, rows)
    )
    inputs = prepare(samples, schema, how.preparation, cache, workers=workers, progress=progress)
    absent = Counter(f"{failure.modality}: {failure.reason}" for failure in inputs.failures)
    if schema.targets and len(taught):
        try:
            table, said = _learnt(inputs, labels, schema, options, how, held, device)
            return Order(table, len(taught), said, absent)
        except NotEnoughLabels as error:
            said = f"covers the pool: {error}"
    else:
        said = "covers the pool: nothing is labelled"
    return Order(_covered(inputs, schema, options, how, held), len(taught), said, absent)


def _learnt(
    inputs: Inputs,
    labels: Labels,
    schema: Schema,
    options: ProjectSettings,
    how: Preset,
    held: Held,
    device: str,
) -> tuple[pa.Table, str]:
    taught, rest = np.asarray(held.labelled, np.int64), np.asarray(held.pool, np.int64)
    given = {name: np.asarray(values)[taught] for name, values in labels.items()}
    known_inputs, pool_inputs = inputs.take(taught), inputs.take(rest)
    model = train(known_inputs, given, schema, how, seed=options.seed, device=device, pool=inputs)
    pool, selection = ranked(model, pool_inputs, known_inputs, options, 1)
    outputs = predicted(model, pool, pool_inputs)
    moved = steer(options, held, schema.questions, pool, selection, outputs)
    selection = moved.selection
    head = selection.order[: options.published]
    why = reasons(model, pool, pool_inputs, head, outputs, _NOBODY, moved.said)
    name = str(selection.notes.get("chosen", selection.notes["strategy"]))
    because = selection.notes.get("because")
    said = f"{name}, because {because}" if because else name
    table = ranking.build(
        held.pool,
        pool,
        explained(pool, selection),
        outputs,
        schema,
        {"strategy": name},
        why=why,
    )
    return table, said


def _covered(
    inputs: Inputs,
    schema: Schema,
    options: ProjectSettings,
    how: Preset,
    held: Held,
) -> pa.Table:
    tasks = np.asarray([*held.labelled, *held.pool], np.int64)
    pool = covering(inputs.take(tasks), len(held.labelled), schema, how.preparation)
    strategy = STRATEGIES["random"] if options.strategy == "random" else cold_start(pool)
    selection = strategy(pool, options.batch, np.random.default_rng(options.seed))
    moved = steer(options, held, schema.questions, pool, selection, {})
    batch = moved.selection.order[: options.batch]
    why = without_model(pool.size, batch, _NOBODY, strategy.name != "random", moved.said)
    facts = {"strategy": strategy.name}
    return ranking.build(held.pool, pool, moved.selection, {}, schema, facts, why=why)


def _data(rows: Sequence[Mapping[str, Any]], ids: Sequence[int]) -> Iterable[Mapping[str, Any]]:
    return (rows[row] for row in ids)
