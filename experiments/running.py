"""Running a plan over the processor's cores, with the time that is left."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from experiments import prepared
from experiments.cells import Cells
from experiments.dataset import Dataset
from experiments.plan import Plan
from experiments.replay import DATA, data_of, run_chain, train_initial
from model.presets import Preset

Notice = Callable[[int, int, float | None], None]
"""Called with measurements done, measurements in all, and seconds left (None: not known yet)."""

_POLL = 1.0


class Interrupted(RuntimeError):
    """Workers died; the message says how to go on."""


def prepare(
    dataset: Dataset,
    contenders: tuple[str, ...],
    preset: Preset,
    folder: Path,
    *,
    initial: int,
    batch: int,
    rounds: int,
    seeds: int,
    pool: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[str]:
    """Write data and plan of a replay; what is there already is kept.

    Returns:
        Notes on samples that lack a modality because it could not be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notes = []
    if not (folder / DATA).exists():
        notes = prepared.write(dataset, preset, folder / DATA, progress=progress)
    data = prepared.read(folder / DATA)
    plan = Plan(
        dataset.name,
        dataset.title,
        contenders,
        initial,
        batch,
        rounds,
        seeds,
        pool,
        preset,
        data.fingerprint,
    )
    plan.check(len(data.train), data.schema.multimodal.kind)
    plan.write(folder)
    return notes


def run(folder: Path, *, workers: int | None = None, notice: Notice | None = None) -> None:
    """Run what is missing of a plan; may be killed and called again at any time.

    Args:
        folder: a prepared replay.
        workers: processes; by default one per core. Each computes with one thread.
        notice: told about progress once a second.

    Raises:
        Interrupted: a worker died, most likely for lack of memory.
    """
    plan, cells = Plan.read(folder), Cells(folder)
    before, started = cells.count(), time.monotonic()
    context = multiprocessing.get_context("spawn")
    count = workers or len(os.sched_getaffinity(0))
    try:
        with ProcessPoolExecutor(count, context, initializer=_start_worker) as pool:
            first = [pool.submit(train_initial, folder, seed) for seed in range(plan.seeds)]
            _finish(first, lambda: None)
            chains = [
                pool.submit(run_chain, folder, contender, seed)
                for seed in range(plan.seeds)
                for contender in plan.contenders
                if len(cells.chain(contender, seed, plan.rounds)) < plan.rounds
            ]
            _finish(chains, lambda: _tell(notice, plan, cells, before, started))
    except BrokenProcessPool as error:
        raise Interrupted(
            f"a worker process died (out of memory?); {cells.count()} of {plan.cells} measurements "
            "are kept. Run the same command again, with fewer --workers if memory is short."
        ) from error
    data_of.cache_clear()
    _tell(notice, plan, cells, before, started)


def _start_worker() -> None:
    """Compute with one thread, and die with the parent, even when that is killed."""
    import torch

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _finish(futures: list[Future[None]], tell: Callable[[], None]) -> None:
    """Wait for all; the first error stops what has not started."""
    open_ = set(futures)
    while open_:
        finished, open_ = wait(open_, timeout=_POLL)
        for future in finished:
            error = future.exception()
            if error is not None:
                for other in open_:
                    other.cancel()
                raise error
        tell()


def _tell(notice: Notice | None, plan: Plan, cells: Cells, before: int, started: float) -> None:
    if notice is None:
        return
    done = cells.count()
    fresh = done - before
    left = (time.monotonic() - started) / fresh * (plan.cells - done) if fresh > 0 else None
    notice(done, plan.cells, left)
