"""One round, as a worker process runs it: fetch -> encode -> train -> evaluate -> rank -> publish.

Nothing a round does before its commit is visible to annotators, and every step may be repeated:
a round that dies is simply started again by the reconciler.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import structlog

from backend.errors import EquipoiseError
from backend.labelstudio.annotations import Labelled, read_tasks
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig, parse
from backend.labelstudio.votes import label_arrays
from backend.media.prepared import prepared
from backend.media.quarantine import carefully
from backend.queue import publish as publishing
from backend.rounds import agreement as stability
from backend.rounds.context import Run
from backend.rounds.covering import covering
from backend.store import rankings as ranking
from backend.store.tables import Kind
from model import checkpoint
from model.labels import hard
from model.look import look, look_untrained
from model.model import Model
from model.preparation import Inputs
from model.presets import Preset
from model.training import evaluate, train
from strategies import STRATEGIES, Pool, Selection, cold_start
from strategies.pool import Need, TargetKind
from strategies.shapley import contributions

log = structlog.get_logger(__name__)

HOLDOUT = 0.2
MIN_HOLDOUT = 10
MAX_COALITION_MODALITIES = 6
_SHOWN_FAILURES = 20
_NOTHING_LEFT = "Nothing is left to rank: every task is labelled."


class NotEnoughLabels(EquipoiseError):
    """There is too little to train on yet."""


@dataclass(frozen=True)
class Fetched:
    """What Label Studio holds now."""

    config: LabelConfig
    tasks: dict[int, dict[str, Any]]
    labelled: list[Labelled]
    pool: list[int]
    label_config: str
    unread: Mapping[str, int]


def run_round(run: Run) -> Fetched:
    """Run a claimed round to its commit.

    Returns:
        What Label Studio held when it began.

    Raises:
        EquipoiseError: the round cannot go on; the message is for people.
    """
    with run.heartbeat():
        with run.phase("fetch"):
            fetched = fetch(run.studio, run.project)
        if fetched.unread:
            run.work["unread"] = sum(fetched.unread.values())
        for reason, count in fetched.unread.items():
            log.warning("results not understood", reason=reason, count=count)
        run.store.renew(
            run.claim,
            labels=len(fetched.labelled),
            pool=len(fetched.pool),
            tasks=len(fetched.tasks),
            schema=fetched.config.schema.to_json(),
        )
        if run.round.kind == Kind.COLD or not fetched.config.schema.targets:
            _cold(run, fetched)
        elif run.round.kind == Kind.RANK:
            _rank_again(run, fetched)
        else:
            _train_and_rank(run, fetched)
    return fetched


def fetch(studio: LabelStudio, project: int) -> Fetched:
    """Read config, tasks and annotations.

    A task is labelled when a usable annotation says something about a target; it is in the pool
    when it is not, and Label Studio still wants annotations for it.
    """
    text = studio.project(project)["label_config"]
    config = parse(text)
    answers = read_tasks(studio.annotated(project), config)
    tasks = {int(task["id"]): task for task in studio.tasks(project)}
    known = {item.task for item in answers.labelled}
    return Fetched(
        config,
        tasks,
        [item for item in answers.labelled if item.task in tasks],
        [t for t, task in tasks.items() if t not in known and not task["is_labeled"]],
        text,
        answers.unread,
    )


def _train_and_rank(run: Run, fetched: Fetched) -> None:
    _check_labels(fetched)
    schema = fetched.config.schema
    with run.phase("encode"):
        inputs = _prepare(run, fetched, [item.task for item in fetched.labelled] + fetched.pool)
    count = len(fetched.labelled)
    known, pool = inputs.take(np.arange(count)), inputs.take(np.arange(count, inputs.size))
    labels = label_arrays(fetched.labelled, schema.targets, soft=run.preset.soft_labels)
    with run.phase("train"):
        model = train(
            known,
            labels,
            schema,
            run.preset,
            seed=run.options.seed,
            device=run.settings.device,
            progress=run.progress,
        )
    with run.phase("evaluate"):
        metrics = holdout_metrics(run, known, labels, fetched.config)
    model.metadata.update(
        {"round": run.round.number, "version": run.round.version, "metrics": metrics}
    )
    checkpoint.save(model, run.folder / "checkpoint")
    _rank_and_publish(
        run,
        fetched,
        model,
        pool,
        known,
        number=run.round.number,
        checkpoint=f"{run.round.folder}/checkpoint",
        metrics=metrics,
        trained_on=_stamps(fetched),
        failures=_failures(inputs),
    )


def _rank_again(run: Run, fetched: Fetched) -> None:
    current = run.store.current(run.project)
    if current is None or not current.checkpoint:
        raise EquipoiseError("There is no trained model yet: run `equipoise retrain` first.")
    model = checkpoint.load(
        run.store.path(current.checkpoint), device=run.settings.device, expect=fetched.config.schema
    )
    tasks = [item.task for item in fetched.labelled] + fetched.pool
    with run.phase("encode"):
        inputs = _prepare(run, fetched, tasks, model.preset)
    count = len(fetched.labelled)
    _rank_and_publish(
        run,
        fetched,
        model,
        inputs.take(np.arange(count, inputs.size)),
        inputs.take(np.arange(count)),
        number=max(current.number, 1),
        checkpoint=current.checkpoint,
        metrics=dict(current.metrics),
        failures=_failures(inputs),
    )


def _cold(run: Run, fetched: Fetched) -> None:
    """Rank without a model: TypiClust where encoders are pretrained, else at random.

    Where nothing can be learned every round is such a one, and covers the pool.
    """
    if not fetched.pool:
        raise EquipoiseError(_NOTHING_LEFT)
    schema = fetched.config.schema
    pool = Pool(size=len(fetched.pool))
    strategy = STRATEGIES["random"]
    done = [] if schema.targets else [item.task for item in fetched.labelled]
    if run.round.strategy != "random":
        with run.phase("encode"):
            inputs = _prepare(run, fetched, done + fetched.pool)
        if schema.targets:
            pool = look_untrained(inputs, schema, run.preset)
            strategy = cold_start(pool)
        else:
            pool, strategy = covering(inputs, len(done), schema, run.preset)
    run.store.renew(run.claim, strategy=strategy.name)
    facts = {**_facts(run, 0), "strategy": strategy.name}
    with run.phase("rank"):
        selection = strategy(pool, run.options.batch, np.random.default_rng(run.options.seed))
        table = ranking.build(fetched.pool, pool, selection, {}, schema, facts)
        ranking.save(table, run.folder / "ranking.parquet")
    fields = {} if schema.targets else {"trained_on": _stamps(fetched)}
    _publish_and_commit(run, fetched.config, table, **fields)


def _stamps(fetched: Fetched) -> dict[str, str]:
    return {str(item.task): item.stamp for item in fetched.labelled}


def warm_cache(run: Run, fetched: Fetched) -> None:
    """Encode every task before the first labels come, so that the first round need not."""
    if run.decode_log.suspects():
        return  # the next round looks carefully at what crashed a process
    with run.decode_log.open() as decode_log:
        prepared(
            list(fetched.tasks.values()),
            fetched.config,
            run.preset,
            studio=run.studio,
            settings=run.settings,
            decode_log=decode_log,
        )


def _prepare(
    run: Run, fetched: Fetched, tasks: Sequence[int], chosen: Preset | None = None
) -> Inputs:
    preset = chosen or run.preset
    wanted = [fetched.tasks[task] for task in tasks]
    if run.decode_log.suspects():
        carefully(
            wanted,
            fetched.label_config,
            preset,
            folder=run.folder,
            decode_log=run.decode_log,
            decode_timeout=run.settings.decode_timeout,
            alive=lambda: run.progress("decode", 0, 0),
        )
    misses = 0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal misses
        misses = total
        run.progress(stage, done, total)

    with run.decode_log.open() as decode_log:
        inputs = prepared(
            wanted,
            fetched.config,
            preset,
            studio=run.studio,
            settings=run.settings,
            decode_log=decode_log,
            progress=progress,
        )
    run.work.update(cache_hits=inputs.size - misses, cache_misses=misses)
    return inputs


def _check_labels(fetched: Fetched) -> None:
    target = fetched.config.schema.multimodal
    said = Counter(
        value
        for item in fetched.labelled
        for value in item.values.get(target.name, ())
        if isinstance(value, str)
    )
    if not any(target.name in item.values for item in fetched.labelled):
        raise NotEnoughLabels(f"No task is labelled with {target.name!r} yet.")
    if target.kind is TargetKind.CLASSIFICATION and len(said) < 2:
        raise NotEnoughLabels(
            f"All labels of {target.name!r} are {next(iter(said))!r}; label at least one task "
            "with another class."
        )


def holdout_metrics(
    run: Run, known: Inputs, labels: dict[str, Any], config: LabelConfig
) -> dict[str, float]:
    """Train on 80% of the labels, measure on the other 20%; {} with fewer than 50 labels.

    The serving model is trained on all labels, so this is a slightly pessimistic estimate of it.
    """
    held = int(known.size * HOLDOUT)
    if held < MIN_HOLDOUT:
        return {}
    order = np.random.default_rng(run.options.seed).permutation(known.size)
    test, rest = np.sort(order[:held]), np.sort(order[held:])
    target = config.schema.multimodal
    if target.kind is TargetKind.CLASSIFICATION and len(set(hard(labels[target.name][rest]))) < 2:
        return {}
    model = train(
        known.take(rest),
        {name: values[rest] for name, values in labels.items()},
        config.schema,
        run.preset,
        seed=run.options.seed,
        device=run.settings.device,
        progress=run.progress,
    )
    found = evaluate(
        model, known.take(test), {name: values[test] for name, values in labels.items()}
    )
    return {"holdout": float(held), **found}


def _rank_and_publish(
    run: Run,
    fetched: Fetched,
    model: Model,
    pool_inputs: Inputs,
    known: Inputs,
    *,
    number: int,
    **fields: Any,
) -> None:
    with run.phase("rank"):
        table = rank(run, fetched, model, pool_inputs, known, number)
        ranking.save(table, run.folder / "ranking.parquet")
    if run.round.options.get("dry"):
        run.store.renew(run.claim, durations=dict(run.durations))
        return
    _publish_and_commit(run, fetched.config, table, **fields)


def rank(
    run: Run, fetched: Fetched, model: Model, pool_inputs: Inputs, known: Inputs, number: int
) -> Any:
    """Look at the pool with a model and rank it; returns the ranking table."""
    strategy = STRATEGIES[run.options.strategy]
    schema = fetched.config.schema
    strategy.check(schema.multimodal.kind)
    explain = (
        schema.multimodal.kind is not TargetKind.REGRESSION
        and len(schema.modalities) <= MAX_COALITION_MODALITIES
    )
    needs = strategy.needs_for(schema.multimodal.kind) | {Need.PROBABILITIES}
    if explain:
        needs = needs | {Need.COALITIONS}
    if pool_inputs.size == 0:
        raise EquipoiseError(_NOTHING_LEFT)
    pool = look(
        model,
        pool_inputs,
        frozenset(needs),
        labelled=known if Need.LABELLED_FEATURES in needs else None,
        round=number,
        seed=run.options.seed,
    )
    rng = np.random.default_rng([run.options.seed, number])
    selection = strategy(pool, run.options.batch, rng)
    outputs = model.predict(pool_inputs)
    return ranking.build(
        fetched.pool, pool, _explained(pool, selection), outputs, schema, _facts(run, number)
    )


def _explained(pool: Pool, selection: Selection) -> Selection:
    """Add each modality's contribution to the components, whatever the strategy."""
    if pool.coalitions is None:
        return selection
    shares = contributions(pool.coalitions)
    columns = {f"contribution:{m}": shares[:, i] for i, m in enumerate(pool.modalities)}
    gap = shares.max(axis=1, keepdims=True) - shares
    columns["dominance"] = gap.sum(axis=1)
    return replace(selection, components={**columns, **selection.components})


def _facts(run: Run, number: int) -> dict[str, str | int]:
    return {
        "strategy": run.round.strategy,
        "round": number,
        "model_version": run.round.version,
    }


def _publish_and_commit(run: Run, config: LabelConfig, table: Any, **fields: Any) -> None:
    version = run.round.version
    with run.phase("publish"):
        rows = publishing.predictions(
            table,
            config,
            version,
            run.options.publish,
            run.studio.open_tasks(run.project),
        )
        published = publishing.publish(run.studio, run.project, rows, version)
    shares = {
        name: round(float(np.mean(table.column(name).to_numpy())), 4)
        for name in table.column_names
        if name.startswith("contribution:") and table.num_rows
    }
    metrics = {**fields.pop("metrics", {}), **{f"pool_{k}": v for k, v in shares.items()}}
    if run.round.kind == Kind.TRAIN and config.schema.targets:
        metrics.update(stability.measure(run.store, run.project, table, config.schema))
    run.store.commit(
        run.claim,
        published=published,
        durations=dict(run.durations),
        work=dict(run.work),
        metrics=metrics,
        **fields,
    )
    log.info("committed", version=version, published=published)


def _failures(inputs: Inputs) -> dict[str, Any]:
    """Count absent media by reason and keep the first examples."""
    counts = Counter(f"{found.modality}: {found.reason}" for found in inputs.failures)
    return dict(counts.most_common(_SHOWN_FAILURES))
