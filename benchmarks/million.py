"""Ranking a million tasks without Label Studio: look, rank, write, with what ships.

python -m benchmarks.million [--quick] [--json PATH] [--only bmmal|auto]

Prepared vectors of two modalities lie on disk as float16. The learner of preset `auto` has 2,000
labels of 100 classes; then `backend.rounds.rank.ranked` looks at the pool and ranks it, as a round
does, and the ranking is written as a Parquet file with every task's probabilities. Memory is what
the process holds beyond what it held before, pages of the mapped vectors counted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from backend.rounds.rank import explained, ranked
from backend.settings import ProjectSettings
from backend.store import rankings
from benchmarks._report import Row, arguments, memory_now, peak_memory, run
from model.encoders import encoder_for
from model.inputs import Column, Inputs
from model.model import Model
from model.options import Preparation
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target
from model.training import train
from strategies.pool import TargetKind

CLASSES, WIDTH, LABELS, BATCH = 100, 128, 2_000, 100
NAMES = ("one", "other")
SECONDS = 120
GIB = 2**30


def prepared(folder: Path, size: int, schema: Schema, preparation: Preparation) -> Inputs:
    """Write prepared vectors of tasks that form classes, and map them; task i is of class i % K."""
    rng = np.random.default_rng(0)
    columns = []
    for modality in schema.modalities:
        centres = rng.standard_normal((CLASSES, WIDTH), dtype=np.float32)
        place = folder / f"{modality.name}.npy"
        values = np.lib.format.open_memmap(place, "w+", np.float16, (size, WIDTH))
        for start in range(0, size, 10_000):
            rows = np.arange(start, min(start + 10_000, size))
            noise = rng.standard_normal((len(rows), WIDTH), dtype=np.float32)
            values[rows] = centres[rows % CLASSES] + 2 * noise
        values.flush()
        del values
        fingerprint = encoder_for(modality, preparation).fingerprint
        shards = (np.load(place, mmap_mode="r"),)
        columns.append(
            Column(fingerprint, (WIDTH,), shards, np.zeros(size, np.int32), np.arange(size))
        )
    return Inputs(size, np.ones((size, len(NAMES)), bool), (), tuple(columns))


def ordered(
    model: Model, pool: Inputs, known: Inputs, options: ProjectSettings, folder: Path
) -> dict[str, float]:
    """Look, rank and write; returns the seconds of ranking (with the look) and of writing."""
    began = time.perf_counter()
    seen, selection = ranked(model, pool, known, options, 1)
    outputs = {model.schema.multimodal.name: seen.probabilities}
    middle = time.perf_counter()
    table = rankings.build(
        np.arange(pool.size), seen, explained(seen, selection), outputs, model.schema, {}
    )
    rankings.save(table, folder / "ranking.parquet")
    return {"look and rank": middle - began, "write": time.perf_counter() - middle}


def strategy(name: str, quick: bool) -> Iterable[Row]:
    """Rank 100,000 tasks, then 1,000,000: time must not grow faster than their number."""
    how = preset("auto")
    schema = Schema(
        tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in NAMES),
        (Target("kind", TargetKind.CLASSIFICATION, tuple(f"c{k}" for k in range(CLASSES))),),
    )
    options = ProjectSettings(strategy=name, batch=BATCH)
    base = 0.0  # seconds a task
    for size in (3_000, 6_000) if quick else (100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            inputs = prepared(folder, size + LABELS, schema, how.preparation)
            known, pool = (
                inputs.take(np.arange(LABELS)),
                inputs.take(np.arange(LABELS, inputs.size)),
            )
            labels = {"kind": np.arange(LABELS) % CLASSES}
            model = train(known, labels, schema, how, seed=0, pool=pool)
            before, found = memory_now(), {}
            peak = peak_memory(
                lambda w=(model, pool, known, options, folder), found=found: found.update(
                    ordered(*w)
                )
            )
        seconds = sum(found.values())
        parts = ", ".join(f"{what} {value:.1f} s" for what, value in found.items())
        note = f"{parts}; at most {(peak - before) / GIB:.2f} GiB more than {before / GIB:.2f}"
        what = f"{name}: N={size:,} M=2 D={WIDTH} K={CLASSES} n={BATCH}"
        if base:
            note += f"; {seconds / size / base:.2f} times as long a task as of the smaller pool"
        yield Row(what, seconds, SECONDS, "s", seconds / SECONDS, "<= 1" if base else "", note)
        base = seconds / size


if __name__ == "__main__":
    run(
        {"bmmal": partial(strategy, "bmmal"), "auto": partial(strategy, "auto")},
        arguments("A million tasks without Label Studio: look, rank, write."),
    )
