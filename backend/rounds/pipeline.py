"""One round, as its process runs it: fetch -> encode -> train -> evaluate -> rank -> publish.

Nothing a round does before its commit is visible to annotators, and every step may be repeated:
a round that dies is simply started again by the reconciler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import structlog

from backend.errors import EquipoiseError
from backend.labelstudio.config import LabelConfig
from backend.labelstudio.in_step import follow
from backend.labelstudio.votes import label_arrays
from backend.media import absent
from backend.queue import publish as publishing
from backend.queue.acceptable import offer
from backend.queue.fitting import check_want
from backend.rounds import agreement, audit, glimpse, review
from backend.rounds.conditions import narrowed
from backend.rounds.context import Run
from backend.rounds.covering import covering
from backend.rounds.encode import encode
from backend.rounds.fetch import Fetched, NotEnoughLabels, check_labels, fetch
from backend.rounds.learn import learn, question_states
from backend.rounds.pool_map import pool_map
from backend.rounds.rank import NOTHING_LEFT, check_strategy, facts, rank, skipped_last, told
from backend.rounds.steer import Held, steer
from backend.rounds.why import without_model
from backend.store import judgements
from backend.store import rankings as ranking
from backend.store.files import MAP
from backend.store.tables import Kind
from model import checkpoint
from model.model import Model
from model.options import Preparation
from model.preparation import Inputs
from strategies import Pool, cold_start

log = structlog.get_logger(__name__)


def run_round(run: Run) -> Fetched:
    """Run a claimed round to its commit.

    Returns:
        What Label Studio held when it began.

    Raises:
        EquipoiseError: the round cannot go on; the message is for people.
    """
    with run.heartbeat():
        with run.phase("fetch"):
            fetched = fetch(
                run.studio, run.mirror, run.project, lambda: run.progress("fetch", 0, 0)
            )
        fetched = narrowed(fetched, run.options)
        if fetched.unread:
            run.work["unread"] = sum(fetched.unread.values())
        if fetched.accepted and not run.store.project(run.project).accepted:
            run.store.save_project(run.project, accepted=len(fetched.accepted))
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


def _train_and_rank(run: Run, fetched: Fetched) -> None:
    check_labels(fetched)
    schema = fetched.config.schema
    check_strategy(run.options.strategy, schema.ranking.kind)  # before anything is trained
    check_want(run.options.want, schema)
    with run.phase("encode"):
        inputs = encode(run, fetched, [item.task for item in fetched.labelled] + fetched.pool)
    count = len(fetched.labelled)
    known = inputs.take(np.arange(count))
    if not known.present.any():
        raise NotEnoughLabels(
            f"No labelled task has a modality that can be read: {absent.listed(run.absent)}."
        )
    labels = label_arrays(fetched.labelled, schema.targets, soft=run.preset.training.soft_labels)
    with run.phase("train"):
        model = learn(run, known, labels, schema, inputs)
    with run.phase("evaluate"):
        judged = audit.judge(run, model, known, labels, fetched, inputs)
        measured = audit.measured(judged, model, known, labels, fetched)
    model.metadata.update({"round": run.round.number, "version": run.round.version})
    checkpoint.save(model, run.folder / "checkpoint")
    found = review.columns(model, judged, labels, fetched.labelled)
    judgements.save(found, run.store, run.round)
    measured["review"] = review.summary(found, fetched.labelled, model.schema.questions)
    _rank_and_publish(
        run,
        fetched,
        model,
        inputs,
        number=run.round.number,
        apart=judged.apart,
        checkpoint=f"{run.round.folder}/checkpoint",
        measured=measured,
        metrics=question_states(model, labels, schema),
        trained_on=_stamps(fetched),
    )


def _rank_again(run: Run, fetched: Fetched) -> None:
    current = run.store.current(run.project)
    if current is None or not current.checkpoint:
        raise EquipoiseError("There is no trained model yet: run `equipoise retrain` first.")
    check_want(run.options.want, fetched.config.schema)
    model = checkpoint.load(
        run.store.artifacts.bring(current.checkpoint),
        device=run.settings.device,
        expect=fetched.config.schema,
    )
    tasks = [item.task for item in fetched.labelled] + fetched.pool
    with run.phase("encode"):
        inputs = encode(run, fetched, tasks, model.preset.preparation)
    _rank_and_publish(
        run,
        fetched,
        model,
        inputs,
        number=max(current.number, 1),
        checkpoint=current.checkpoint,
        measured=dict(current.measured),
        metrics={k: v for k, v in current.metrics.items() if "@" in k},
    )


def _cold(run: Run, fetched: Fetched) -> None:
    """Rank without a model, so that the batch covers the pool.

    Where nothing can be learned every round is such a one, and what is annotated is covered.
    """
    if not fetched.pool:
        raise EquipoiseError(NOTHING_LEFT)
    schema = fetched.config.schema
    pool = Pool(size=len(fetched.pool))
    inputs: Inputs | None = None
    done = [] if schema.targets else [item.task for item in fetched.labelled]
    if run.round.strategy != "random":
        with run.phase("encode"):
            inputs = encode(run, fetched, done + fetched.pool)
        pool = covering(inputs, len(done), schema, run.preset.preparation)
    strategy = cold_start(pool)
    run.store.renew(run.claim, strategy=strategy.name)
    constant = {**facts(run, 0), "strategy": strategy.name}
    with run.phase("rank"):
        selection = strategy(pool, run.options.batch, np.random.default_rng(run.options.seed))
        reason = "nothing is labelled yet" if schema.targets else "nothing can be learned here"
        told(run, selection, schema, run.preset.preparation, f"{reason}: the batch covers the pool")
        moved = steer(run.options, Held.of(fetched), schema.questions, pool, selection, {})
        run.work["twins"] = dict(moved.twins)
        selection = skipped_last(moved.selection, fetched)
        batch = selection.order[: run.options.batch]
        selection, drawn = audit.serve(run, fetched, selection, strategy.name)
        why = without_model(pool.size, batch, drawn, strategy.name != "random", moved.said)
        table = ranking.build(
            fetched.pool, pool, selection, {}, schema, constant, drawn=drawn, why=why
        )
        _keep(run, fetched, table, done + fetched.pool, inputs, run.preset.preparation)
    fields = {} if schema.targets else {"trained_on": _stamps(fetched)}
    _publish_and_commit(run, fetched.config, table, **fields)


def _stamps(fetched: Fetched) -> dict[str, str]:
    return {str(item.task): item.stamp for item in fetched.labelled}


def _rank_and_publish(
    run: Run,
    fetched: Fetched,
    model: Model,
    inputs: Inputs,
    *,
    number: int,
    apart: audit.Apart | None = None,
    **fields: Any,
) -> None:
    """Rank the pool; `inputs` are of the labelled tasks, then of the pool."""
    labelled = [item.task for item in fetched.labelled]
    count = len(labelled)
    known, pool = inputs.take(np.arange(count)), inputs.take(np.arange(count, inputs.size))
    with run.phase("rank"):
        table = rank(run, fetched, model, pool, known, number, apart)
        tasks = labelled + fetched.pool
        _keep(run, fetched, table, tasks, inputs, model.preset.preparation)
        judged = judgements.load(run.store, fields["checkpoint"])
        safe = offer(
            judged,
            table,
            fetched.config,
            run.options,
            run.project,
            audited=int(fields["measured"].get("audited", 0)),
            left_out=[*fetched.skipped, *fetched.outside],
        )
        fields["measured"] = {**fields["measured"], "accept": safe.to_json()}
    if run.round.options.get("dry"):
        run.store.artifacts.publish(run.round.folder)
        run.store.renew(run.claim, durations=dict(run.durations))
        return
    _publish_and_commit(run, fetched.config, table, **fields)


def _keep(
    run: Run,
    fetched: Fetched,
    table: Any,
    tasks: Sequence[int],
    inputs: Inputs | None,
    preparation: Preparation,
) -> None:
    """Write what is served and what is shown of this round; `inputs` are of `tasks`."""
    ranking.save(table, run.folder / "ranking.parquet")
    glimpse.save(glimpse.glimpses(fetched, table, tasks, inputs), run.folder)
    plane = None if inputs is None else pool_map(fetched, tasks, inputs, preparation, table)
    if plane is not None:
        ranking.save(plane, run.folder / MAP)


def _publish_and_commit(run: Run, config: LabelConfig, table: Any, **fields: Any) -> None:
    version = run.round.version
    with run.phase("publish"):
        follow(run.studio, run.mirror, run.project)  # some were done while this was computed
        run.store.artifacts.publish(run.round.folder)  # servers must have it before it is named
        rows = publishing.predictions(
            table,
            config,
            version,
            run.options.published,
            run.mirror.ids(only_open=True),
        )
        published = publishing.publish(run.studio, run.project, rows, version)
        if not published:  # the last tasks went meanwhile, and a version without any has no name
            raise EquipoiseError(NOTHING_LEFT)
    served = {row["task"] for row in rows}
    drawn = table.filter(table.column("audit")).column("task").to_pylist()
    shares = {
        name: round(float(np.mean(ranking.numbers(table.column(name)))), 4)
        for name in table.column_names
        if (name.startswith("contribution:") or name == "dominance") and table.num_rows
    }
    metrics = {**fields.pop("metrics", {}), **{f"pool_{k}": v for k, v in shares.items()}}
    if run.round.kind == Kind.TRAIN and config.schema.targets:
        metrics.update(agreement.measure(run.store, run.project, table, config.schema))
    run.store.commit(
        run.claim,
        published=published,
        durations=dict(run.durations),
        work=dict(run.work),
        metrics=metrics,
        drawn={"tasks": [task for task in drawn if task in served]},
        **fields,
    )
    log.info("committed", version=version, published=published)
