"""A round's tasks -> prepared inputs, carefully after a crash; and ahead of the first round."""

from __future__ import annotations

from collections.abc import Sequence

from backend.media import absent
from backend.media.prepared import prepared
from backend.media.quarantine import carefully
from backend.rounds.context import Run
from backend.rounds.encode_ray import share
from backend.rounds.fetch import Fetched
from model.options import Preparation
from model.preparation import Inputs

_EXAMPLES = 3
"""Tasks that are named for each reason."""


def encode(
    run: Run, fetched: Fetched, tasks: Sequence[int], chosen: Preparation | None = None
) -> Inputs:
    """Return prepared inputs of some tasks, in their order.

    Args:
        run: the round.
        fetched: what Label Studio holds.
        tasks: ids.
        chosen: names the encoders; None: the project's preparation.
    """
    preparation = chosen or run.preset.preparation
    wanted = fetched.tasks.of(tasks)
    if run.decode_log.suspects(run.project):
        carefully(
            wanted,
            fetched.label_config,
            preparation,
            folder=run.folder,
            project=run.project,
            decode_log=run.decode_log,
            decode_timeout=run.settings.decode_timeout,
            alive=lambda: run.progress("decode", 0, 0),
        )
    elif run.settings.executor == "ray":
        share(run, wanted, fetched.config, fetched.label_config, preparation)
    misses = 0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal misses
        misses = total
        run.progress(stage, done, total)

    with run.decode_log.open() as decode_log:
        inputs = prepared(
            wanted,
            fetched.config,
            preparation,
            project=run.project,
            studio=run.studio,
            settings=run.settings,
            decode_log=decode_log,
            progress=progress,
            cache=run.features,
        )
    run.work.update(cache_hits=inputs.size - misses, cache_misses=misses)
    found = absent.found_in(inputs, fetched.config, wanted)
    run.absent = {reason: len(rows) for reason, rows in found.items()}
    run.work["absent"] = {
        reason: [tasks[row] for row in rows[:_EXAMPLES]] for reason, rows in found.items()
    }
    run.store.renew(run.claim, failures=run.absent)
    absent.refuse_passing(inputs, fetched.config.schema, run.settings.max_passing_absent)
    return inputs


def warm_cache(run: Run, fetched: Fetched) -> None:
    """Encode every task before the first labels come, so that the first round need not."""
    if run.decode_log.suspects(run.project):
        return  # the next round looks carefully at what crashed a process
    with run.decode_log.open() as decode_log:
        prepared(
            fetched.tasks.of(list(fetched.tasks)),
            fetched.config,
            run.preset.preparation,
            project=run.project,
            studio=run.studio,
            settings=run.settings,
            decode_log=decode_log,
            cache=run.features,
        )
