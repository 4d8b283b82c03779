"""Running a plan over the processor's cores, with the time that is left."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

from experiments import prepared
from experiments.cells import Cells
from experiments.dataset import DataError, Dataset
from experiments.plan import LIVE, Plan
from experiments.replay import DATA, INITIAL, data_of, run_chain, train_initial
from model import cluster
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
    initial_strategy: str = LIVE,
    cache: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[str]:
    """Write data and plan of a replay; what is there already is kept.

    Returns:
        Notes on samples that lack a modality because it could not be read.
    """
    nameless = preset.without_role(dataset.schema.modalities)
    if nameless:
        raise DataError(
            f"{preset.name} gives each sequence the widths, rates and loss weight of its role, and "
            f"{nameless[0]!r} has none; say e.g. --role {nameless[0]}=audio"
        )
    folder.mkdir(parents=True, exist_ok=True)
    notes = []
    if not (folder / DATA).exists():
        notes = prepared.write(
            dataset, preset.preparation, folder / DATA, cache=cache, progress=progress
        )
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
        initial_strategy,
    )
    plan.check(len(data.train), data.schema.multimodal.kind)
    plan.write(folder)
    return notes


def run(
    folders: Path | Sequence[Path],
    *,
    workers: int | None = None,
    ray: str = "",
    notice: Notice | None = None,
    also: Sequence[Callable[[], None]] = (),
) -> None:
    """Run what is missing of one or more plans; may be killed and called again at any time.

    Args:
        folders: prepared replays; the cores never wait between them.
        workers: processes; by default one per GPU, else per core. Each computes with one thread.
            0: none, all of it is done here, one after the other.
        ray: address of a Ray cluster whose processors do it instead of this machine's; all of its
            nodes must see the folders at the same place. A node that dies costs its work only.
        notice: told about progress once a second.
        also: further work for the same processes, done before the rounds.

    Raises:
        Interrupted: a worker died, most likely for lack of memory.
    """
    given = [folders] if isinstance(folders, Path) else list(folders)
    places = [folder.absolute() for folder in given]
    plans = {folder: Plan.read(folder) for folder in places}
    progress = _Progress(places, notice)
    first: list[Callable[[], None]] = [
        partial(train_initial, folder, seed)
        for folder, plan in plans.items()
        for seed in range(plan.seeds)
        if not (folder / INITIAL / f"seed-{seed}").exists()
    ]
    first += also
    # Seed by seed over all replays: when it is stopped early, every replay has as many.
    missing = [
        (seed, folder, contender)
        for folder, plan in plans.items()
        for contender, seed in _missing(folder, plan)
    ]
    missing.sort(key=lambda chain: chain[0])
    chains = [partial(run_chain, folder, text, seed) for seed, folder, text in missing]
    try:
        if ray:
            _run_on_cluster(first, chains, ray, progress.tell)
        elif workers == 0:
            _run_here([*first, *chains], progress.tell)
        else:
            _run_side_by_side(first, chains, workers, progress.tell)
    except (BrokenProcessPool, cluster.NodeLost) as error:
        raise Interrupted(
            f"a worker process died (out of memory?); {progress.done} of {progress.total} "
            "measurements are kept. Run the same command again, with fewer --workers if memory is "
            "short."
        ) from error
    data_of.cache_clear()
    progress.tell()


def _run_here(work: Sequence[Callable[[], None]], tell: Callable[[], None]) -> None:
    for one in work:
        one()
        tell()


def _run_side_by_side(
    first: Sequence[Callable[[], None]],
    chains: Sequence[Callable[[], None]],
    workers: int | None,
    tell: Callable[[], None],
) -> None:
    gpus = visible_gpus()
    context = multiprocessing.get_context("spawn")
    count = workers or len(gpus) or len(os.sched_getaffinity(0))
    turn = context.Value("i", 0)
    with ProcessPoolExecutor(
        count, context, initializer=_start_worker, initargs=(turn, gpus)
    ) as pool:
        _finish([pool.submit(work) for work in first], lambda: None)
        _finish([pool.submit(work) for work in chains], tell)


def _run_on_cluster(
    first: Sequence[Callable[[], None]],
    chains: Sequence[Callable[[], None]],
    address: str,
    tell: Callable[[], None],
) -> None:
    with cluster.connected(address) as ray:
        for works in (first, chains):
            calls = [(work,) for work in works]
            for _ in cluster.each(ray, on_one_thread, calls, name="equipoise replay"):
                tell()


def on_one_thread(work: Callable[[], None]) -> None:
    """Do a piece of work as a process of ours would: on one thread."""
    import torch

    torch.set_num_threads(1)
    work()


def _missing(folder: Path, plan: Plan) -> list[tuple[str, int]]:
    cells = Cells(folder)
    return [
        (contender, seed)
        for seed in range(plan.seeds)
        for contender in plan.contenders
        if len(cells.chain(contender, seed, plan.rounds)) < plan.rounds
    ]


def visible_gpus() -> list[str]:
    """Return the names by which CUDA_VISIBLE_DEVICES may name each GPU; [] where there is none."""
    import torch

    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name for name in said.split(",") if name] if said is not None else []
    return names or [str(number) for number in range(torch.cuda.device_count())]


def _start_worker(turn: Any, gpus: Sequence[str]) -> None:
    """Take a GPU of its own, compute with one thread, and die with the parent, even when killed."""
    import torch

    with turn.get_lock():
        place, turn.value = turn.value, turn.value + 1
    if gpus:  # before CUDA is first used, which is when it is read
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
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


class _Progress:
    """Measurements of some replays, counted on disk."""

    def __init__(self, folders: Sequence[Path], notice: Notice | None) -> None:
        self._cells = [Cells(folder) for folder in folders]
        self._notice = notice
        self._before, self._started = self.done, time.monotonic()
        self.total = sum(Plan.read(folder).cells for folder in folders)

    @property
    def done(self) -> int:
        return sum(cells.count() for cells in self._cells)

    def tell(self) -> None:
        """Pass on the measurements done, all of them, and the seconds left."""
        if self._notice is None:
            return
        done = self.done
        fresh, spent = done - self._before, time.monotonic() - self._started
        self._notice(done, self.total, spent / fresh * (self.total - done) if fresh > 0 else None)
