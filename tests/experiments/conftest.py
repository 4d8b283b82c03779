"""A small data set with two modalities, of which one says more, and ready replays of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments import running
from experiments.dataset import Dataset, vector
from experiments.replay import run_chain, train_initial
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

CONTENDERS = ("random", "bmmal", "grace")


def make_dataset(kind: TargetKind = TargetKind.CLASSIFICATION, size: int = 150) -> Dataset:
    """Make three blobs in two modalities; the second is noisier and sometimes absent."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, size)
    centres = rng.standard_normal((2, 3, 6)) * 2
    clear = centres[0, classes] + rng.standard_normal((size, 6))
    noisy = centres[1, classes] + 2 * rng.standard_normal((size, 6))
    absent = rng.random(size) < 0.1
    samples = tuple(
        {"clear": vector(a), "noisy": None if gone else vector(b)}
        for a, b, gone in zip(clear, noisy, absent, strict=True)
    )
    target, values = {
        TargetKind.CLASSIFICATION: (Target("mood", kind, ("a", "b", "c")), classes),
        TargetKind.MULTILABEL: (Target("mood", kind, ("a", "b")), np.eye(3)[classes][:, :2]),
        TargetKind.REGRESSION: (Target("mood", kind, (), 0.0, 2.0), classes.astype(float)),
    }[kind]
    modalities = tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in ("clear", "noisy"))
    rows = np.arange(size)
    return Dataset(
        f"blobs-{kind}",
        "Three blobs",
        samples,
        {"mood": values},
        Schema(modalities, (target,)),
        rows[:100],
        rows[100:],
    )


def make_replay(
    folder: Path,
    kind: TargetKind = TargetKind.CLASSIFICATION,
    contenders: tuple[str, ...] = CONTENDERS,
    *,
    rounds: int = 4,
    seeds: int = 2,
    run: bool = True,
    initial_strategy: str = "live",
) -> Path:
    """Prepare a small replay and, in this process, run it."""
    small = preset("quick", epochs=1, min_steps=8, projection=8, batch_size=16, lr=1e-2)
    running.prepare(
        make_dataset(kind),
        contenders,
        small,
        folder,
        initial=10,
        batch=8,
        rounds=rounds,
        seeds=seeds,
        initial_strategy=initial_strategy,
    )
    if run:
        for seed in range(seeds):
            train_initial(folder, seed)
            for contender in contenders:
                run_chain(folder, contender, seed)
    return folder


@pytest.fixture(scope="session")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished replay."""
    return make_replay(tmp_path_factory.mktemp("replay"))
